"""What a trained model makes of images and of points in its latent space. Everything runs in evaluation mode.
Notebook 1 samples, notebook 3 interpolates.

Images are (N, 1, 28, 28) in [0, 1], on the CPU whatever device the model is on. The code of an image is, for a
VAE, its posterior mean, and a picture is the decoder's mean, not a draw from it.

Papers: Kingma & Welling 2014 (arXiv:1312.6114); White 2016 (arXiv:1609.04468) for spherical interpolation;
Shoemake 1985 for its formula.
"""

import torch
from torch import Tensor

from .inputs import check_images, check_model, whole
from .models import AutoEncoder, device_of, inference

METHODS = ("linear", "slerp")


def decode(model: AutoEncoder, z: Tensor) -> Tensor:
    """Images of latent points. z: (N, latent_dim); returns (N, 1, 28, 28) in [0, 1].

    ValueError for a model whose decode ends in a sigmoid: a second one is taken here.
    """
    check_model(model, "decode")
    if not isinstance(z, Tensor):
        raise TypeError(f"z must be a torch.Tensor of latent points, got {type(z).__name__}")
    if not z.numel():
        raise ValueError(f"there is no latent point to decode, got {tuple(z.shape)}: N >= 1 is needed")
    with inference(model):
        z = z.to(device_of(model), dtype_of(model))
        logits = model.decode(z)
        if logits.shape != (len(z), 1, 28, 28):
            raise ValueError(f"decode must give logits ({len(z)}, 1, 28, 28), this model gives {tuple(logits.shape)}")
        if _in_unit_range(logits) and _in_unit_range(model.decode(torch.stack([z[0] + 1e4, z[0] - 1e4]))):
            raise ValueError(
                "decode must give logits, of which hw2 takes the sigmoid; this model's stay in [0, 1] far from the "
                "origin, too, as those of a decoder that ends in a sigmoid: leave it out"
            )
    return logits.sigmoid().cpu().float()


def _in_unit_range(logits: Tensor) -> bool:
    """Whether these could be pixels: a range within [0, 1], which may be an untrained network's logits as well."""
    low, high = logits.aminmax()
    return bool(0 <= low < high <= 1)


def dtype_of(model: AutoEncoder) -> torch.dtype:
    """That of the model's weights: a person may have made them doubles."""
    return next((p.dtype for p in model.parameters()), torch.float32)


def codes(model: AutoEncoder, x: Tensor) -> Tensor:
    """The latent point of each image (a VAE's posterior mean). x: (N, 1, 28, 28); returns (N, latent_dim)."""
    check_model(model, "code")
    check_images(x)
    with inference(model):
        return torch.cat(
            [model.code(part.to(device_of(model), dtype_of(model), copy=True)).cpu().float() for part in x.split(1000)]
        )


def reconstruct(model: AutoEncoder, x: Tensor) -> Tensor:
    """decode(model, codes(model, x)). x: (N, 1, 28, 28) in [0, 1]; returns the same shape."""
    return decode(model, codes(model, x))


def sample_prior(model: AutoEncoder, n: int, generator: torch.Generator) -> Tensor:
    """Images of n draws z ~ N(0, I), (n, 1, 28, 28) in [0, 1]. `generator`: a CPU generator, which decides z.

    z is (n, model.latent_dim). `decode`, above, makes images of it: in evaluation mode, without gradients, on the CPU.
    The generator is used as it comes and goes on from where it was: one seed gives the same z to every model of one
    latent size, and a second call gives others. ValueError or TypeError for another n, generator or model.
    """
    check_model(model, "decode", "latent_dim")
    n = whole("n", n)
    if not isinstance(generator, torch.Generator):
        raise TypeError(
            f"generator must be a torch.Generator, got {type(generator).__name__}: torch.Generator().manual_seed(0)"
        )
    return decode(model, torch.randn(n, model.latent_dim, generator=generator, dtype=torch.float32))


def lerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """The points (1 − t) a + t b on the line through a and b, one for each t.

    a, b: points of any one shape (...), codes or images; t: (steps,), any numbers; returns (steps, ...).
    """
    t = t.view(-1, *[1] * a.ndim)
    return (1 - t) * a + t * b


def slerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """Along the arc from a to b: (sin((1−t)ω) a + sin(tω) b) / sin ω, with ω the angle between a and b.

    a, b: (..., D); t: (steps,); returns (steps, ..., D). Where the arc is undefined (a zero vector, ω near 0 or π) the
    straight line is taken. Shoemake 1985.
    """
    omega = torch.acos(torch.nn.functional.cosine_similarity(a, b, dim=-1).clamp(-1, 1)).unsqueeze(-1)
    defined = (omega.sin() > 1e-4) & (a.norm(dim=-1, keepdim=True) * b.norm(dim=-1, keepdim=True) > 0)
    line = lerp(a, b, t)
    t = t.view(-1, *[1] * a.ndim)
    arc = (((1 - t) * omega).sin() * a + (t * omega).sin() * b) / omega.sin()
    return torch.where(defined & (t != 0) & (t != 1), arc, line)  # the ends exactly: sin(ω)/sin(ω) may round


def path_positions(steps: int) -> Tensor:
    """`steps` evenly spaced positions from 0 to 1, both included: float32, (steps,). ValueError unless steps >= 2."""
    steps = whole("steps", steps, least=-(2**63))
    if steps < 2:
        raise ValueError(f"steps must be at least 2, because both ends belong to the strip, got {steps}")
    return torch.linspace(0, 1, steps, dtype=torch.float32)


def walk(model: AutoEncoder, x_a: Tensor, x_b: Tensor, t: Tensor, method: str = "linear") -> Tensor:
    """Decoded images between many pairs at once, at the positions t from the code of x_a (0) to that of x_b (1).

    x_a, x_b: (N, 1, 28, 28); t: (steps,), any numbers; returns (steps, N, 1, 28, 28), without gradients. Given are
    `codes`, (N, D) for images of an autoencoder or a VAE (its posterior means); `decode`, of points (any number, D),
    in evaluation mode; and `slerp`, which is called as `lerp` is. method: "linear" walks with `lerp`, "slerp" with
    `slerp`. ValueError for an unknown method.
    """
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}: expected one of {', '.join(METHODS)}")
    t = torch.as_tensor(t, dtype=torch.float32)
    if t.ndim != 1 or x_a.shape != x_b.shape:
        shapes = ", ".join(str(tuple(v.shape)) for v in (x_a, x_b, t))
        raise ValueError(f"x_a and x_b must have one shape, and t be (steps,), got {shapes}")
    z = (lerp if method == "linear" else slerp)(codes(model, x_a), codes(model, x_b), t)  # (steps, N, D)
    return decode(model, z.flatten(0, 1)).unflatten(0, z.shape[:2])


def _one(x: Tensor) -> Tensor:
    """One image as a batch of one, checked."""
    if not isinstance(x, Tensor):
        check_images(x)
    batch = x.unsqueeze(0) if x.ndim == 3 else x
    if batch.ndim != 4 or len(batch) != 1:
        raise ValueError(f"expected one image each, (1, 28, 28), got {tuple(x.shape)}")
    check_images(batch)
    return batch


def interpolate(model: AutoEncoder, x_a: Tensor, x_b: Tensor, steps: int = 7, method: str = "linear") -> Tensor:
    """Decoded images along the way from the code of x_a to that of x_b, both ends included.

    x_a, x_b: one image each, (1, 28, 28), which `_one`, above, makes a batch of one. It is a `walk` at the
    `path_positions`; method: as there. Returns (steps, 1, 28, 28): the first and the last are the two reconstructions.
    ValueError for fewer than two steps or an unknown method.
    """
    return walk(model, _one(x_a), _one(x_b), path_positions(steps), method)[:, 0]


def blend(x_a: Tensor, x_b: Tensor, steps: int = 7) -> Tensor:
    """The baseline without a model: the pixels cross-faded, (steps, 1, 28, 28), the two images at its ends."""
    return lerp(_one(x_a), _one(x_b), path_positions(steps))[:, 0]


def traverse(model: AutoEncoder, x: Tensor, dim: int, values: Tensor) -> Tensor:
    """Decoded images while one coordinate of x's code takes `values` and the others stay.

    x: one image, (1, 28, 28); dim: 0 … latent_dim − 1; values: (N,), in the units of z. Returns (N, 1, 28, 28).
    """
    check_model(model, "code", "decode", "latent_dim")
    dim = whole("dim", dim, least=-(2**63))
    if not 0 <= dim < model.latent_dim:
        raise ValueError(f"dim must be in 0 ... {model.latent_dim - 1}, this model's latent size less one, got {dim}")
    values = torch.as_tensor(values, dtype=torch.float32).flatten()
    z = codes(model, _one(x)).repeat(len(values), 1)
    z[:, dim] = values
    return decode(model, z)


def grid(limit: float = 3, n: int = 15) -> Tensor:
    """A square of two latent dimensions, from -limit to limit, cut into n by n cells: their centres.

    (n · n, 2), row by row from the largest z2 down, as a picture is read.
    """
    n = whole("n", n)
    z = limit * (2 * torch.arange(n, dtype=torch.float32) + 1 - n) / n
    return torch.cartesian_prod(z.flip(0), z).flip(1)
