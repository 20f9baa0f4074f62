"""Autoencoders, variational autoencoders and their latent spaces on MNIST: the module behind the notebooks.

Read `data`, `networks`, `models`, `losses`, `training`, `latent` and `conditioned`, in this order: they are the
homework. Beside them stand `plotting` and four packages: `runs`, `study`, `explore` and `checks`.
"""

from .conditioned import ConditionedVAE
from .data import Digits, load
from .latent import blend, codes, decode, interpolate, reconstruct, sample_prior, traverse
from .losses import decoder_variance, effective_beta, kl_normal, kl_per_dimension, reconstruction_loss
from .models import VAE, AutoEncoder, reparametrize
from .notebook_settings import notebook_settings
from .runs import load_checkpoint, save, sweep, train_or_load
from .training import TrainConfig, Training, evaluate, fit

__all__ = [
    "VAE", "AutoEncoder", "ConditionedVAE", "Digits", "TrainConfig", "Training", "blend", "codes", "decode",
    "decoder_variance", "effective_beta", "evaluate", "fit", "interpolate", "kl_normal", "kl_per_dimension", "load",
    "load_checkpoint", "notebook_settings", "reconstruct", "reconstruction_loss", "reparametrize", "sample_prior",
    "save", "sweep", "train_or_load", "traverse",
]  # fmt: skip
