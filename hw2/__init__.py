"""Autoencoders, variational autoencoders and their latent spaces on MNIST: the module behind the notebooks."""

from .checkpoints import load_checkpoint, save, train_or_load
from .data import Digits, load
from .latent import blend, codes, decode, interpolate, reconstruct, sample_prior, traverse
from .losses import decoder_variance, effective_beta, kl_normal, kl_per_dimension, reconstruction_loss
from .models import VAE, AutoEncoder, ConditionedVAE, reparametrize
from .sweep import sweep
from .training import TrainConfig, evaluate, fit

__all__ = [
    "VAE", "AutoEncoder", "ConditionedVAE", "Digits", "TrainConfig", "blend", "codes", "decode", "decoder_variance",
    "effective_beta", "evaluate", "fit", "interpolate", "kl_normal", "kl_per_dimension", "load", "load_checkpoint",
    "reconstruct", "reconstruction_loss", "reparametrize", "sample_prior", "save", "sweep", "train_or_load", "traverse",
]  # fmt: skip
