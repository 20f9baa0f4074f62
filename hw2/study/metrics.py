"""What the pictures show, as numbers.

Perceptual distances are taken in the features of `judge`: they compare with each other, not with Inception FIDs.
Where a well-kept library has the measure, it is the library's.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ..inputs import check_images, whole
from ..losses import decoder_variance, reconstruction_loss
from ..models import VAE, device_of, inference, reparametrize
from .judge import features, probabilities


def frechet_distance(real: Tensor, fake: Tensor) -> float:
    """The Fréchet score: squared distance of two Gaussians fitted to features, (N, F) and (M, F), as FID's is.

    0 for equal mean and covariance. Heusel et al. 2017 (arXiv:1706.08500); torchmetrics.
    Biased upwards for few images: compare equal N and M only.
    """
    if real.ndim != 2 or fake.ndim != 2 or real.shape[1] != fake.shape[1]:
        raise ValueError(f"features must be (N, F) and (M, F), got {tuple(real.shape)} and {tuple(fake.shape)}")
    from torchmetrics.image.fid import FrechetInceptionDistance

    network = nn.Identity()  # torchmetrics wants a network: ours has run already
    network.num_features = real.shape[1]
    metric = FrechetInceptionDistance(feature=network)
    metric.update(real, real=True)
    metric.update(fake, real=False)
    return metric.compute().item()


def sure_share(probabilities: Tensor, threshold: float = 0.95) -> float:
    """Share of images to which the judge gives one class at least `threshold`. probabilities: (N, 10)."""
    if probabilities.ndim != 2 or not ((probabilities.sum(1) - 1).abs() < 1e-3).all() or not 0 < threshold <= 1:
        raise ValueError("probabilities must be rows that sum to 1, and the threshold a share: see judge.probabilities")
    return (probabilities.amax(1) >= threshold).float().mean().item()


class Quality(NamedTuple):
    """How a set of images compares with real ones, in the judge's eyes."""

    frechet: float  # Fréchet score: the squared distance, as FID is; 0 is best
    sure: float  # share of images of which the judge is sure


def quality(images: Tensor, real: Tensor) -> Quality:
    """Both measures at once. images: (N, 1, 28, 28); real: features (N, 64) of as many real images."""
    if len(images) != len(real):
        raise ValueError(f"the score is biased by the number of images: got {len(images)} and {len(real)} real ones")
    fake = features(images)
    return Quality(frechet_distance(real, fake), sure_share(probabilities(fake)))


def table(rows: Mapping[str, Quality]) -> str:
    """The measures of several sets of images as lines of text, a row each."""
    lines = [f"{'':<34}Fréchet score   judge is sure of"]
    lines += [f"{name:<34}{q.frechet:13.0f}{100 * q.sure:17.0f} %" for name, q in rows.items()]
    return "\n".join(lines)


def nearest(points: Tensor, among: Tensor) -> tuple[Tensor, Tensor]:
    """(distance, index) of each point's nearest neighbour. points: (N, ...), among: (M, ...), flattened; (N,) each."""
    among = among.flatten(1)
    parts = points.flatten(1).split(250)
    indices = [torch.cdist(part, among).argmin(1) for part in parts]  # whose distances are rounded where they are small
    distances = [(part - among[rows]).norm(dim=1) for part, rows in zip(parts, indices, strict=True)]
    return torch.cat(distances), torch.cat(indices)


def log_weights(model: VAE, x: Tensor, draws: int, generator: torch.Generator) -> Tensor:
    """ln p(x|z) p(z) / q(z|x) for `draws` z ~ q(z|x) of each image, in nats, (draws, N); for a Bernoulli decoder.

    Its mean over the draws estimates the ELBO. x: (N, 1, 28, 28); generator: on the model's device.
    """
    check_images(x)
    if draws < 1:
        raise ValueError(f"draws must be at least 1, got {draws}")
    weights = []
    with inference(model):
        mu, logvar = model.encode(x.to(device_of(model)))
        for _ in range(draws):
            eps = torch.randn(mu.shape, generator=generator, device=mu.device)
            z = reparametrize(mu, logvar, eps)
            ratio = 0.5 * (eps.square() + logvar - z.square()).sum(1)  # ln p(z) / q(z|x)
            weights.append(ratio - reconstruction_loss(model.decode(z), x.to(mu.device), "bernoulli"))
    return torch.stack(weights).cpu()


def importance_bound(log_weights: Tensor, k: int) -> Tensor:
    """Importance-weighted lower bound on ln p(x), E ln (1/k Σ w), nats per image, (N,): the ELBO at k = 1.

    log_weights: (draws, N), averaged over draws / k groups. ValueError unless k divides draws.
    Burda et al. 2016 (arXiv:1509.00519).
    """
    if k < 1 or len(log_weights) % k:
        raise ValueError(f"k must divide the {len(log_weights)} draws, got {k}")
    return (log_weights.unflatten(0, (-1, k)).logsumexp(1) - math.log(k)).mean(0)


def active_units(mu: Tensor, threshold: float = 0.3) -> int:
    """Number of latent dimensions whose posterior mean has a variance above `threshold`. mu: (N, D).

    Burda et al. 2016 (arXiv:1509.00519), whose threshold of 0.01 suits networks trained to the end: after some epochs
    dimensions on their way to 0 stand around it, and used ones near 1.
    """
    if not isinstance(mu, Tensor) or mu.ndim != 2 or not mu.isfinite().all():
        raise ValueError("mu must be finite posterior means, (N, D): hw2.codes(model, images) gives them")
    return int((mu.var(0) > threshold).sum())


def aggregate_posterior(mu: Tensor, logvar: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (D,) and covariance (D, D) of q(z) = average of q(z|x) over images. mu, logvar: (N, D)."""
    if mu.shape != logvar.shape or mu.ndim != 2:
        raise ValueError(f"mu and logvar must be (N, D), got {tuple(mu.shape)} and {tuple(logvar.shape)}")
    return mu.mean(0), torch.cov(mu.T, correction=0) + torch.diag(logvar.exp().mean(0))


def index_information(mu: Tensor, logvar: Tensor, generator: torch.Generator) -> float:
    """What z tells about which of the N images it is of, E ln q(z|x) / q(z), in nats, q(z) the mean of all N q(z|x).

    It estimates I(x; z) from below, because it cannot exceed ln N. mu, logvar: (N, D); one z is drawn for each
    image. Hoffman & Johnson 2016.
    """
    n = len(mu)
    mu, logvar = mu.double(), logvar.double()  # of a σ far smaller than the means float32 would leave no digit
    z = reparametrize(mu, logvar, torch.randn(mu.shape, generator=generator).double())
    precision = (-logvar).exp()
    constant = (mu.square() * precision + logvar).sum(1)  # (N,)
    told = []
    for part, own in zip(z.split(250), torch.arange(n).split(250), strict=True):
        log_q = -0.5 * (part.square() @ precision.T - 2 * part @ (mu * precision).T + constant)  # (250, N)
        told.append(log_q.gather(1, own[:, None])[:, 0] - log_q.logsumexp(1) + math.log(n))
    return torch.cat(told).mean().item()


def linear_vae(images: Tensor, betas: Sequence[float], latent_dim: int) -> tuple[Tensor, Tensor, float]:
    """(rate, distortion, β of total collapse) of the best linear Gaussian VAE, in closed form.

    With PCA eigenvalues λ and decoder variance σ² a dimension is used while λ > σ²: rate Σ ½ ln(λ/σ²) nats, distortion
    Σ min(λ, σ²) plus what `latent_dim` dimensions cannot reach, in squared error with z drawn from q. β > 0 in the
    homework's unit; rate, distortion: (len(betas),). images: (N, 1, 28, 28).
    Tipping & Bishop 1999; Lucas et al. 2019 (arXiv:1911.02469).
    """
    whole("latent_dim", latent_dim)
    eigenvalues = torch.linalg.eigvalsh(torch.cov(images.flatten(1).T.double())).clamp(min=0).flip(0)
    kept, lost = eigenvalues[:latent_dim], eigenvalues[latent_dim:].sum()
    variance = torch.tensor([decoder_variance(b) for b in betas], dtype=torch.float64).unsqueeze(1)
    rate = 0.5 * (kept / variance).clamp(min=1).log().sum(1)
    distortion = torch.minimum(kept, variance).sum(1) + lost
    return rate, distortion, (kept[0] / decoder_variance(1)).item()


def fitted_codes(z: Tensor, n: int, components: int = 1, seed: int = 0) -> Tensor:
    """n draws from a Gaussian (or a mixture of `components`), full covariance, fitted to codes z (N, D): (n, D).

    scikit-learn's GaussianMixture. Ghosh et al. 2020 (arXiv:1903.12436) sample autoencoders this way.
    """
    from sklearn.mixture import GaussianMixture
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, "blas"):  # small products, for which threads would wait on each other
        mixture = GaussianMixture(components, random_state=seed, reg_covar=1e-6).fit(z.double().numpy())
    draws = mixture.sample(n)[0]  # sorted by component
    return torch.from_numpy(np.random.default_rng(seed).permutation(draws)).float()
