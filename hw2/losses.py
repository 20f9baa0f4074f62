"""The two terms of the loss, and the units of β.

Both terms are summed over what one image consists of (784 pixels, or the latent dimensions) and returned
one number per image, (B,); the average over the batch is taken where they are used. The homework's β belongs
to another convention (squared error averaged over the pixels): `effective_beta` is the one place that converts.

Papers: Kingma & Welling 2014 (arXiv:1312.6114); Higgins et al. 2017, "β-VAE"; Lucas et al. 2019 (arXiv:1911.02469).
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from .inputs import real, whole

PIXELS = 28 * 28

# exp() overflows float32 from 88.7 on, and a batch of such terms must still be summable: σ = e^30 is far beyond
# any use. LOGVAR_MIN is so low that nothing meets it; it only keeps the float32 sum finite if an encoder diverges.
LOGVAR_MIN, LOGVAR_MAX = -1e30, 60.0

LIKELIHOODS = ("gaussian", "bernoulli")


def reconstruction_loss(logits: Tensor, x: Tensor, likelihood: str = "gaussian") -> Tensor:
    """Reconstruction term per image, summed over its pixels; the image is sigmoid(logits), which here is called p.

    "gaussian": squared error Σ (x − p)², without ½.  "bernoulli": cross-entropy −Σ (x ln p + (1 − x) ln(1 − p)) in
    nats, x read as grey probabilities (Kingma & Welling 2014, App. C.1). Compute it from the logits, not from p, which
    in float32 is exactly 1 for logits above 17: ln(1 − p) is then infinite, and no gradient is left.

    logits, x: (B, ...) of one shape, x in [0, 1]; returns (B,), a gradient reaches the logits. ValueError for other
    shapes or likelihoods, and where x has a gradient and logits have none, because then they were swapped.
    """
    if logits.shape != x.shape:
        raise ValueError(f"logits and images must have one shape, got {tuple(logits.shape)} and {tuple(x.shape)}")
    if x.requires_grad and not logits.requires_grad:  # only the first of the two comes from a network
        raise ValueError("the images come second, reconstruction_loss(logits, x): these two are swapped")
    if likelihood == "gaussian":
        terms = F.mse_loss(logits.sigmoid(), x, reduction="none")
    elif likelihood == "bernoulli":
        terms = F.binary_cross_entropy_with_logits(logits, x, reduction="none")
    else:
        raise ValueError(f"unknown likelihood {likelihood!r}: expected one of {', '.join(LIKELIHOODS)}")
    return terms.flatten(1).sum(1)


def kl_normal(mu: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mu, exp(logvar)) ‖ N(0, I)) = ½ Σ (mu² + exp(logvar) − 1 − logvar), in nats per image.

    mu, logvar: (B, D); returns (B,), the sum over the D dimensions of `kl_per_dimension`; a gradient reaches both. A
    logvar above LOGVAR_MAX, 60 (σ = e^30), counts as LOGVAR_MAX, because exp overflows: so value and gradient are
    finite for any, in float32. No bound is met from below: at β = 0 the KL grows with −logvar. ValueError if the shapes
    differ, TypeError unless both are tensors of floats. Kingma & Welling 2014, App. B.
    """
    return kl_per_dimension(mu, logvar).sum(-1)


def kl_per_dimension(mu: Tensor, logvar: Tensor) -> Tensor:
    """The terms of `kl_normal` before their sum: nats per image and latent dimension, (B, D).

    Arguments, bound and errors as there.
    """
    if not all(isinstance(t, Tensor) and t.is_floating_point() for t in (mu, logvar)):
        kinds = " and ".join(str(getattr(t, "dtype", type(t).__name__)) for t in (mu, logvar))
        raise TypeError(f"mu and logvar must be tensors of floats, got {kinds}: torch.as_tensor(…).float()")
    if mu.shape != logvar.shape or mu.ndim == 0:
        raise ValueError(f"mu and logvar must have one shape, (B, D), got {tuple(mu.shape)} and {tuple(logvar.shape)}")
    logvar = logvar.clamp(max(LOGVAR_MIN, torch.finfo(logvar.dtype).min), LOGVAR_MAX)
    # expm1, because exp(logvar) - 1 loses every digit where the posterior is close to the prior.
    return 0.5 * (mu.square() + (logvar.expm1() - logvar))


def effective_beta(
    beta: float, recon: str = "mean", kl: str = "sum", *, pixels: int = PIXELS, latent_dim: int | None = None
) -> float:
    """The same β for a loss whose two terms are both summed: Σ recon + β_eff · Σ KL.

    recon: "mean" if the written loss averages over the `pixels`, "sum" if it sums. kl: "sum" if it sums over the
    latent dimensions, "mean" if it averages over `latent_dim` of them. The default is the homework's convention,
    β_eff = 784 β. One β three ways: 0.001 (mean, sum) = 0.064 (mean, mean of 64) = 0.784 (sum, sum).

    TypeError for a β that is no number; ValueError for one that is negative or not finite, an unknown reduction, or a
    missing `latent_dim`.
    """
    beta = real("beta", beta)
    if beta < 0:
        raise ValueError(f"beta must be a finite number >= 0, got {beta}")
    for name, reduction in (("recon", recon), ("kl", kl)):
        if reduction not in ("mean", "sum"):
            raise ValueError(f'{name} must be "mean" or "sum", got {reduction!r}')
    pixels = whole("pixels", pixels)
    if recon == "mean":
        beta = beta * pixels
    if latent_dim is not None:
        latent_dim = whole("latent_dim", latent_dim)
    if kl == "mean":
        if latent_dim is None:
            raise ValueError('kl="mean" averages over the latent dimensions: pass latent_dim')
        beta = beta / latent_dim
    if not math.isfinite(beta):
        raise ValueError("beta is too large: with both terms summed it is not a finite number")
    return beta


def decoder_variance(
    beta: float, recon: str = "mean", kl: str = "sum", *, pixels: int = PIXELS, latent_dim: int | None = None
) -> float:
    """The pixel variance σ² of the Gaussian decoder whose ELBO a β stands for: σ² = β_eff / 2.

    −log N(x; x̂, σ²I) = Σ(x − x̂)² / 2σ² + constant, so multiplying the negative ELBO by 2σ² gives
    Σ(x − x̂)² + 2σ² · KL. Arguments as for `effective_beta`; the unit is (pixel value)².
    Lucas et al. 2019; Rybkin et al. 2021 (arXiv:2006.13202).
    """
    return effective_beta(beta, recon, kl, pixels=pixels, latent_dim=latent_dim) / 2
