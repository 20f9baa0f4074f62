"""What the pictures show, as numbers.

Perceptual distances are taken in the features of `judge`: they compare with each other, not with Inception FIDs.
Where a well-kept library has the measure, it is the library's.
"""

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ..inputs import check_images
from ..losses import decoder_variance, reconstruction_loss
from ..models import VAE, device_of, inference, reparametrize
from .judge import features, probabilities

# --- Samples and reconstructions -------------------------------------------------------------------------------------


def _compared(metric, real: Tensor, fake: Tensor) -> Tensor:
    metric.update(real, real=True)
    metric.update(fake, real=False)
    return metric.compute()


def _given_features(width: int) -> nn.Module:
    """For torchmetrics, which wants a network: ours has run already."""
    network = nn.Identity()
    network.num_features = width
    return network


def frechet_distance(real: Tensor, fake: Tensor) -> float:
    """Fréchet distance of two Gaussians fitted to features, (N, F) and (M, F); 0 for equal mean and covariance.

    Heusel et al. 2017 (arXiv:1706.08500); torchmetrics. Biased upwards for few images: compare equal N and M only.
    """
    from torchmetrics.image.fid import FrechetInceptionDistance

    return _compared(FrechetInceptionDistance(feature=_given_features(real.shape[1])), real, fake).item()


def kernel_distance(real: Tensor, fake: Tensor) -> float:
    """Squared maximum mean discrepancy of features, (N, F) each, cubic kernel; unbiased, near 0 for one distribution.

    Bińkowski et al. 2018 (arXiv:1801.01401); torchmetrics, in a single subset of all images.
    """
    from torchmetrics.image.kid import KernelInceptionDistance

    size = min(len(real), len(fake))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Metric .* will save all extracted features")
        metric = KernelInceptionDistance(feature=_given_features(real.shape[1]), subsets=1, subset_size=size)
    with torch.random.fork_rng(devices=[]):  # it shuffles the subset, which has all images anyway
        return _compared(metric, real[:size], fake[:size])[0].item()


def precision_recall(real: Tensor, fake: Tensor, k: int = 3) -> tuple[float, float]:
    """(precision, recall) of features, (N, F) and (M, F), each a share from 0 to 1.

    Precision: fakes that lie within some real image's distance to its k-th neighbour; recall: the reverse.
    Kynkäänniemi et al. 2019 (arXiv:1904.06991).
    """

    def covered(points: Tensor, manifold: Tensor) -> float:
        nearest = torch.cdist(manifold, manifold).topk(k + 1, largest=False).values  # + 1: each is its own neighbour
        return (torch.cdist(points, manifold) <= nearest[:, -1]).any(1).float().mean().item()

    return covered(fake, real), covered(real, fake)


def sure_share(probabilities: Tensor, threshold: float = 0.95) -> float:
    """Share of images to which the judge gives one class at least `threshold`. probabilities: (N, 10)."""
    return (probabilities.amax(1) >= threshold).float().mean().item()


def class_evenness(probabilities: Tensor) -> float:
    """Entropy of the judge's class counts over its largest possible value: 1 if the classes are equally frequent."""
    share = probabilities.argmax(1).bincount(minlength=probabilities.shape[1]) / len(probabilities)
    return (torch.special.entr(share).sum() / math.log(len(share))).item()


class Quality(NamedTuple):
    """How a set of images compares with real ones, in the judge's eyes. See the functions of these names."""

    frechet: float  # squared distance in feature units, 0 is best; compare with other real digits
    kernel: float  # squared distance, 0 is best
    precision: float  # share, 1 is best
    recall: float  # share, 1 is best
    sure: float  # share
    evenness: float  # 0 to 1


def quality(images: Tensor, real: Tensor) -> Quality:
    """All of the above at once. images: (N, 1, 28, 28); real: features (N, 64) of as many real images."""
    fake = features(images)
    p = probabilities(fake)
    distances = frechet_distance(real, fake), kernel_distance(real, fake)
    return Quality(*distances, *precision_recall(real, fake), sure_share(p), class_evenness(p))


def table(rows: Mapping[str, Quality]) -> str:
    """The measures of several sets of images as lines of text, a row each."""
    lines = [f"{'':<26}Fréchet    kernel  precision  recall   sure  evenness"]
    for name, q in rows.items():
        lines.append(
            f"{name:<26}{q.frechet:7.0f}{q.kernel:10.0f}{q.precision:11.2f}{q.recall:8.2f}{q.sure:7.2f}{q.evenness:10.2f}"
        )
    return "\n".join(lines)


def nearest(points: Tensor, among: Tensor) -> tuple[Tensor, Tensor]:
    """(distance, index) of each point's nearest neighbour. points: (N, ...), among: (M, ...), flattened; (N,) each."""
    among = among.flatten(1)
    found = [torch.cdist(part, among).min(1) for part in points.flatten(1).split(250)]
    return torch.cat([f.values for f in found]), torch.cat([f.indices for f in found])


# --- Likelihood ------------------------------------------------------------------------------------------------------


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


# --- Latents ---------------------------------------------------------------------------------------------------------


def active_units(mu: Tensor, threshold: float = 0.3) -> int:
    """Number of latent dimensions whose posterior mean has a variance above `threshold`. mu: (N, D).

    Burda et al. 2016 (arXiv:1509.00519), whose threshold of 0.01 suits networks trained to the end: after some epochs
    dimensions on their way to 0 stand around it, and used ones near 1.
    """
    return int((mu.var(0) > threshold).sum())


def aggregate_posterior(mu: Tensor, logvar: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (D,) and covariance (D, D) of q(z) = average of q(z|x) over images. mu, logvar: (N, D)."""
    return mu.mean(0), torch.cov(mu.T, correction=0) + torch.diag(logvar.exp().mean(0))


def linear_vae(images: Tensor, betas: Sequence[float], latent_dim: int) -> tuple[Tensor, Tensor, float]:
    """(rate, distortion, β of total collapse) of the best linear Gaussian VAE, in closed form.

    With PCA eigenvalues λ and decoder variance σ² a dimension is used while λ > σ²: rate Σ ½ ln(λ/σ²) nats, distortion
    Σ min(λ, σ²) plus what `latent_dim` dimensions cannot reach, in squared error with z drawn from q. β > 0 in the
    homework's unit; rate, distortion: (len(betas),). images: (N, 1, 28, 28).
    Tipping & Bishop 1999; Lucas et al. 2019 (arXiv:1911.02469).
    """
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

    mixture = GaussianMixture(components, random_state=seed, reg_covar=1e-6).fit(z.double().numpy())
    draws = mixture.sample(n)[0]  # sorted by component
    return torch.from_numpy(np.random.default_rng(seed).permutation(draws)).float()
