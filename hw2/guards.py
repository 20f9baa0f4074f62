"""What training refuses, before its first step and after an epoch. Skip this file when reading."""

import torch
from torch import Tensor

from .config import Terms, TrainConfig
from .data import Digits
from .inputs import check_images, check_model, check_process, digits_remedy
from .latent import reconstruct
from .models import AutoEncoder, device_of, inference


def check(model: AutoEncoder, digits: Digits, config: TrainConfig) -> bool:
    """Raise a TypeError, ValueError or RuntimeError for what cannot be trained or evaluated, before the first step.

    Returns whether the model draws a β for each image, which its terms then come with.
    """
    check_process()
    check_model(model, "terms")
    if wrong := {str(p.dtype) for p in model.parameters() if p.dtype != torch.float32}:
        raise TypeError(f"weights must be float32, got {', '.join(sorted(wrong))}: call model.float()")
    if not isinstance(config, TrainConfig):
        raise TypeError(f"config must be a hw2.TrainConfig, got {type(config).__name__}")
    if not isinstance(digits, Digits):
        raise TypeError(f"digits must be hw2.Digits, got {type(digits).__name__}: pass {digits_remedy(digits)}")
    check_images(digits.images)  # again: a tensor can be written to after Digits looked at it
    with inference(model):  # so that an error comes before the first step
        x = digits.images[:2].to(device_of(model), copy=True)  # a model may write into its batch
        terms = model.terms(x, config.likelihood, torch.Generator(x.device).manual_seed(config.seed))
    shapes = [tuple(getattr(term, "shape", ())) for term in terms] if isinstance(terms, tuple | list) else [terms]
    if len(shapes) not in (2, 3) or any(shape != (len(x),) for shape in shapes):
        got = ", ".join(map(str, shapes))
        raise ValueError(f"terms must give (reconstruction, KL), a number per image, ({len(x)},) each, got {got:.200}")
    if len(terms) == 2 and hasattr(model, "decode") and hasattr(model, "code"):
        reconstruct(model, digits.images[:2])  # raises for a decoder that gives no logits
    if len(terms) == 3 and config.warmup:
        raise ValueError(f"warmup has no effect on a {type(model).__name__}, which draws its own β: leave it out")
    return len(terms) == 3


def check_finite(record: Tensor, first_step: int, config: TrainConfig) -> None:
    """FloatingPointError, with step and term, unless all of `record`, (3, steps), is finite."""
    bad = ~record.isfinite()
    if bad.any():
        step = int(bad.any(0).nonzero()[0])
        term = Terms._fields[int(bad[:, step].nonzero()[0])]
        raise FloatingPointError(
            f"{term} is {record[:, step][bad[:, step]][0].item()} at step {first_step + step + 1}: "
            f"most likely the learning rate ({config.lr:g}) or beta ({config.beta:g}) is too large"
        )
