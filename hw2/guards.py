"""What training looks at before its first step, between steps, and after an epoch. Skip this file when reading."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from .config import TrainConfig
from .data import Digits
from .inputs import check_images, check_model, check_process, digits_remedy
from .latent import reconstruct
from .models import AutoEncoder, device_of, inference

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


def check(model: AutoEncoder, digits: Digits, config: TrainConfig) -> int:
    """Raise a TypeError, ValueError or RuntimeError for what cannot be trained or evaluated, before the first step.

    Returns how many terms the model gives: 2, or 3 if each image has a β of its own.
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
    return len(terms)


def norms(model: nn.Module) -> Iterator[tuple[nn.Module, bool]]:
    """Each BatchNorm, and whether it learns: one whose parameters are all frozen keeps its statistics, too."""
    for norm in filter(lambda layer: isinstance(layer, NORMS), model.modules()):
        own = [*norm.parameters()]
        yield norm, not own or any(p.requires_grad for p in own)


def drop_denormals(optimizer: torch.optim.Optimizer) -> None:
    """Set the first moments that have decayed to next to nothing to 0.

    A pixel that is hardly ever lit gives its weights no gradient, and their first moment shrinks to about 0.9 of itself
    at each step, until it sticks among the denormal floats, with which a CPU is many times slower. Below 1e-30 it
    moves no weight.
    """
    for state in optimizer.state.values():
        state["exp_avg"].masked_fill_(state["exp_avg"].abs() < 1e-30, 0)


def check_finite(record: Tensor, first_step: int, config: TrainConfig) -> None:
    bad = ~record.isfinite()
    if bad.any():
        step = int(bad.any(0).nonzero()[0])
        term = ("recon", "kl", "loss")[int(bad[:, step].nonzero()[0])]
        raise FloatingPointError(
            f"{term} is {record[:, step][bad[:, step]][0].item()} at step {first_step + step + 1}: "
            f"most likely the learning rate ({config.lr:g}) or beta ({config.beta:g}) is too large"
        )
