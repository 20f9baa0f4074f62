"""Checks that name the bug: which known mistake of this homework a function of yours contains, and how it shows.

A check takes your own function, tries it on small inputs, and returns nothing if all is well. Otherwise it raises
`Mistake` and says what was found, what was expected, and what the cause most likely is. Properties are tested, not
streams of random numbers, so any right way to write the function passes. All take seconds, and train nothing. Nothing
here calls the functions that are checked in this package, which in a student edition are yet to be written.
"""

import contextlib
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Mistake(AssertionError):  # noqa: N818
    """What is wrong with the function that was checked, in words."""


def _closest(found: list[Tensor], candidates: Mapping[str, list[Tensor]], rtol: float = 1e-3) -> str | None:
    """The name of the candidate that equals `found`, for every input that was tried."""
    for name, values in candidates.items():
        if all(
            a.shape == b.shape and torch.allclose(a.double(), b.double(), rtol=rtol, atol=rtol)
            for a, b in zip(found, values, strict=True)
        ):
            return name
    return None


def _judge(what: str, found: list[Tensor], right: list[Tensor], wrong: Mapping[str, list[Tensor]], rtol=1e-3) -> None:
    """Raise a Mistake unless `found` is `right`; name the wrong candidate that it is."""
    if not all(torch.isfinite(f).all() for f in found):
        raise Mistake(f"{what} is not finite for ordinary inputs: got {found[0]}")
    if _closest(found, {"right": right}, rtol):
        return
    cause = _closest(found, wrong, rtol)
    got, expected = (f"{t.flatten()[0].item():.4g}" for t in (found[0], right[0]))
    raise Mistake(
        f"{what}: got {got}, expected {expected}. " + (f"Most likely {cause}" if cause else "No known mistake")
    )


# --- The draw --------------------------------------------------------------------------------------------------------


def reparametrize(function: Callable[..., Tensor]) -> None:
    """Your draw from q(z|x): function(mu, logvar) with noise of its own, or function(mu, logvar, eps); (B, D) each."""
    n, logvars = 20_000, (-2.0, 0.7, 1.5)
    arguments = len(inspect.signature(function).parameters)
    generator = torch.Generator().manual_seed(0)

    def draw(mu: Tensor, logvar: Tensor) -> Tensor:
        noise = [torch.randn(mu.shape, generator=generator)] if arguments > 2 else []
        z = function(mu, logvar, *noise)
        if not isinstance(z, Tensor) or z.shape != mu.shape:
            raise Mistake(f"z must have mu's shape {tuple(mu.shape)}, got {getattr(z, 'shape', type(z).__name__)}")
        return z

    z = [draw(torch.full((n, 2), 1.5), torch.full((n, 2), v)).detach() for v in logvars]
    logvar = torch.tensor(logvars)
    causes = {
        "there is no noise: z = mu, which is for reconstructing, not for training": torch.zeros(3),
        "exp is left out: logvar/2 itself is taken for σ, and noise at logvar = 0 vanishes at no cost": (
            logvar / 2
        ).abs(),
        "exp is left out: logvar itself is taken for σ": logvar.abs(),
        "log σ² is read as log σ: use exp(logvar / 2)": logvar.exp(),
        "the noise is not scaled by σ": torch.ones(3),
        "σ is exp(-logvar / 2): a sign too many": (-logvar / 2).exp(),
    }
    spread = torch.stack([t.std() for t in z])
    right, wrong = [(logvar / 2).exp()], {name: [value] for name, value in causes.items()}
    _judge(f"the standard deviation of draws at logvar = {logvars[0]:g}", [spread], right, wrong, rtol=0.03)
    if abs(torch.corrcoef(z[0].T)[0, 1]) > 0.1:
        raise Mistake("one noise serves several dimensions: each needs its own, eps has the shape of mu")
    if arguments > 2:
        mu, eps = torch.zeros(8, 2), torch.randn(8, 2, generator=generator)
        if not torch.equal(function(mu, mu, eps), function(mu, mu, eps)):
            raise Mistake("the eps that is passed is not used: two draws with the same give different z")
    mean = torch.stack([t.mean() for t in z])
    if not torch.allclose(mean, torch.tensor(1.5), atol=0.1):
        raise Mistake(f"the mean of draws must be mu = 1.5, got {mean.tolist()}")
    mu, logvar = (torch.zeros(8, 2, requires_grad=True) for _ in range(2))
    z = draw(mu, logvar)
    gradients = torch.autograd.grad(z.sum(), (mu, logvar), allow_unused=True) if z.requires_grad else (None, None)
    for name, gradient in zip(("mu", "logvar"), gradients, strict=True):
        if gradient is None or not gradient.any():
            raise Mistake(f"no gradient reaches {name}: z must be computed from it, without sample() or detach()")


# --- The two terms of the loss ---------------------------------------------------------------------------------------


def _batches(seed: int = 0) -> list[tuple[Tensor, Tensor]]:
    """(mu, logvar) of two sizes, so that a factor that depends on a size shows."""
    generator = torch.Generator().manual_seed(seed)
    return [tuple(torch.randn(2, b, d, generator=generator) * 0.8) for b, d in ((6, 5), (9, 4))]


def _check_shape(what: str, answer: object, per: str | None, shape: tuple[int, ...]) -> None:
    """The answer must be a tensor per batch, image or term, as promised, and gradients must pass through it."""
    if not isinstance(answer, Tensor):
        raise Mistake(f"{what} must be a tensor, got {type(answer).__name__}: gradients must pass through it")
    shapes = {"batch": (), "image": shape[:1], "term": shape}
    allowed = shapes.values() if per is None else [shapes[per]]
    if tuple(answer.shape) not in map(tuple, allowed):
        expected = " or ".join(str(tuple(a)) for a in allowed)
        raise Mistake(f"{what} of {shape[0]} images must have shape {expected}, got {tuple(answer.shape)}")
    if not answer.requires_grad:
        raise Mistake(f"no gradient passes through {what}: compute it without detach(), item() or numpy()")


def _reduced(values: Tensor, like: Tensor, batch: str) -> Tensor:
    """Terms per image, (B,), brought to the form in which the function answers."""
    if like.ndim:
        return values
    return values.sum() if batch == "sum" else values.mean()


def kl(
    function: Callable[[Tensor, Tensor], Tensor], dims: str = "sum", batch: str = "mean", per: str | None = None
) -> None:
    """Your KL(q(z|x) ‖ N(0, I)): function(mu, logvar), (B, D) each, gives (B, D), (B,), or one number for the batch.

    per: which of these it must be, "term", "image" or "batch"; None for any. dims, batch: "sum" or "mean", how you say
    that it is reduced. Another reduction than the homework's sum over the dimensions is right if you say so and convert
    β (`effective_beta`).
    """
    inputs = [(mu.requires_grad_(), logvar.requires_grad_()) for mu, logvar in _batches()]
    answers = [function(mu, logvar) for mu, logvar in inputs]
    for answer, (mu, _) in zip(answers, inputs, strict=True):
        _check_shape("the KL", answer, per, tuple(mu.shape))
    answers = [answer.detach() for answer in answers]
    inputs = [(mu.detach(), logvar.detach()) for mu, logvar in inputs]
    found = [a.sum(1) if a.ndim == 2 and dims == "sum" else a.mean(1) if a.ndim == 2 else a for a in answers]

    def values(formula: Callable[[Tensor, Tensor], Tensor], dims: str = dims, batch: str = batch) -> list[Tensor]:
        per_image = [getattr(formula(mu, logvar), dims)(1) for mu, logvar in inputs]
        return [_reduced(v, f, batch) for v, f in zip(per_image, found, strict=True)]

    def terms(mu: Tensor, v: Tensor) -> Tensor:
        return 0.5 * (mu**2 + v.exp() - 1 - v)

    other = {"sum": "mean", "mean": "sum"}
    wrong = {
        "the sign is wrong: a KL is never negative": values(lambda m, v: -terms(m, v)),
        "the direction is wrong: this is KL(N(0, I) ‖ q)": values(lambda m, v: 0.5 * ((1 + m**2) / v.exp() - 1 + v)),
        f"the latent dimensions are reduced by {other[dims]} instead of {dims}: β then means something else": values(
            terms, other[dims]
        ),
        f"the batch is reduced by {other[batch]} instead of {batch}": values(terms, batch=other[batch]),
        "log σ² is read as log σ: the variance is exp(logvar)": values(
            lambda m, v: 0.5 * (m**2 + (2 * v).exp() - 1 - 2 * v)
        ),
        "logvar is taken for σ²: exp is left out": values(lambda m, v: 0.5 * (m**2 + v - 1 - v.abs().log())),
        "the factor ½ is left out": values(lambda m, v: 2 * terms(m, v)),
        "a sign within the KL is wrong: it is ½ (mu² + exp(logvar) - 1 - logvar)": values(
            lambda m, v: terms(m, v) - m**2
        ),
        "the sign of logvar is wrong: it is ½ (mu² + exp(logvar) - 1 - logvar)": values(lambda m, v: terms(m, v) + v),
        "the sign of exp(logvar) is wrong: it is ½ (mu² + exp(logvar) - 1 - logvar)": values(
            lambda m, v: terms(m, v) - v.exp()
        ),
        "mu is not squared": values(lambda m, v: terms(m, v) - 0.5 * (m**2 - m)),
        "the -1 of each dimension is left out": values(lambda m, v: terms(m, v) + 0.5),
        "the batch is averaged twice": [
            v / len(mu) for v, (mu, _) in zip(values(terms, batch="mean"), inputs, strict=True)
        ],
    }
    _judge("the KL", found, values(terms), wrong)
    mu = torch.zeros(2, 3)
    if not torch.isfinite(function(mu, torch.full((2, 3), -200.0))).all():
        raise Mistake(
            "the KL of a very small variance (logvar = -200) is not finite: use logvar itself, not its exp's log"
        )


def reconstruction(
    function: Callable[[Tensor, Tensor], Tensor],
    pixels: str = "mean",
    batch: str = "mean",
    likelihood: str = "gaussian",
    per: str | None = None,
) -> None:
    """Your reconstruction term: function(logits, x), (B, 1, 28, 28) each, gives (B,) or one number for the batch.

    per: which of these it must be, "image" or "batch"; None for either. pixels, batch: "sum" or "mean", how you say
    that it is reduced; the homework's is the mean over pixels. likelihood: "gaussian" (squared error without ½) or
    "bernoulli" (cross-entropy).
    """
    generator = torch.Generator().manual_seed(0)
    inputs = [(2 * torch.randn(b, 1, 28, 28, generator=generator), torch.rand(b, 1, 28, 28, generator=generator))
              for b in (6, 9)]  # fmt: skip
    found = [function(logits.clone().requires_grad_(), x) for logits, x in inputs]
    for answer, (logits, _) in zip(found, inputs, strict=True):
        _check_shape("the reconstruction term", answer, per, (len(logits),))
    found = [answer.detach() for answer in found]

    def values(
        change: Callable[[Tensor], Tensor] = lambda t: t, pixels=pixels, batch=batch, factor=1.0
    ) -> list[Tensor]:
        def terms(logits: Tensor, x: Tensor) -> Tensor:
            if likelihood == "bernoulli":
                return F.binary_cross_entropy_with_logits(logits, x, reduction="none")
            return (logits.sigmoid() - x).square()

        per_image = [factor * getattr(terms(change(logits), x).flatten(1), pixels)(1) for logits, x in inputs]
        return [_reduced(v, f, batch) for v, f in zip(per_image, found, strict=True)]

    def of_raw_logits() -> list[Tensor]:
        per_image = [getattr((logits - x).square().flatten(1), pixels)(1) for logits, x in inputs]
        return [_reduced(v, f, batch) for v, f in zip(per_image, found, strict=True)]

    other = {"sum": "mean", "mean": "sum"}
    wrong = {
        "logits are passed as pixels: apply the sigmoid first": of_raw_logits(),
        "the sigmoid is applied twice": values(torch.sigmoid),
        f"the pixels are reduced by {other[pixels]} instead of {pixels}: β then means something else": values(
            pixels=other[pixels]
        ),
        f"the batch is reduced by {other[batch]} instead of {batch}": values(batch=other[batch]),
        "the sign is wrong: an error is never negative": values(factor=-1),
        "there is a factor ½: β then is half of what it says": values(factor=0.5),
        "the batch is averaged twice": [v / len(x) for v, (_, x) in zip(values(batch="mean"), inputs, strict=True)],
    }
    _judge("the reconstruction term", found, values(), wrong)


# --- Models, sampling, interpolation ---------------------------------------------------------------------------------


class _Probe(nn.Module):
    """A tiny VAE with a BatchNorm, whose decoder keeps what it was asked, and can be decoded back."""

    latent_dim = 4

    def __init__(self) -> None:
        super().__init__()
        pattern = torch.randn(4, 784, generator=torch.Generator().manual_seed(1)) / 28
        self.pattern = nn.Parameter(pattern, requires_grad=False)
        self.norm = nn.BatchNorm1d(4, affine=False)
        self.asked: list[Tensor] = []

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return torch.tanh(2 * x.flatten(1) @ self.pattern.T), torch.full((len(x), 4), -1.0)

    def code(self, x: Tensor) -> Tensor:
        return self.encode(x)[0]

    def decode(self, z: Tensor) -> Tensor:
        self.asked.append(z.detach().clone())
        return (20 * self.norm(z) @ self.pattern).view(-1, 1, 28, 28)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mu, logvar = self.encode(x)
        return self.decode(mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)), mu, logvar


@contextlib.contextmanager
def _mode(model: nn.Module, training: bool) -> Iterator[None]:
    """Training or evaluation mode, the earlier one restored after."""
    before = model.training
    model.train(training)
    try:
        yield
    finally:
        model.train(before)


def _check_images(images: Tensor, logits: Tensor) -> None:
    """Images must be the sigmoid of the decoder's logits."""
    if images.shape == logits.shape:
        if torch.allclose(images, logits.sigmoid(), atol=1e-5):
            return
        if torch.allclose(images, logits, atol=1e-5):
            raise Mistake("logits are passed as pixels: an image is their sigmoid")
        if torch.allclose(images, logits.sigmoid().sigmoid(), atol=1e-5):
            raise Mistake("the sigmoid is applied twice: no pixel is below 0.5")
    raise Mistake(
        f"images must be the sigmoid of the decoder's logits, {tuple(logits.shape)}: got {tuple(images.shape)}"
    )


def _affine(function: Callable[[Tensor], Tensor], a: Tensor, b: Tensor) -> bool:
    """Whether the middle of two inputs gives the middle of what they give."""
    middle = (function(a) + function(b)) / 2
    return torch.allclose(function((a + b) / 2), middle, atol=1e-4 * middle.abs().max().item())


def autoencoder(model: nn.Module) -> None:
    """Your encoder and decoder: encode(x) gives z, (B, D), or (mu, logvar); decode(z) gives logits, (B, 1, 28, 28)."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(64, 1, 28, 28, generator=generator)
    with _mode(model, training=False), torch.no_grad():

        def encode(x: Tensor) -> Tensor:
            codes = model.encode(x)
            return codes if isinstance(codes, Tensor) else torch.cat(tuple(codes), 1)

        codes = encode(x)
        if codes.ndim != 2 or len(codes) != 64:
            raise Mistake(f"codes must be (B, D), one row per image, got {tuple(codes.shape)} for 64 images")
        first = model.encode(x)
        size = (first if isinstance(first, Tensor) else first[0]).shape[1]
        if size != getattr(model, "latent_dim", size):
            raise Mistake(f"codes must have latent_dim = {model.latent_dim} numbers, got {size}")
        z = 1e4 * torch.randn(64, size, generator=generator)  # so large that a bounded output shows its bounds
        logits = model.decode(z)
        if logits.shape != (64, 1, 28, 28):
            raise Mistake(f"decode must give (B, 1, 28, 28), got {tuple(logits.shape)}")
        for what, values in (("codes", codes), ("logits", logits)):
            if values.std(0).max() == 0:
                raise Mistake(f"all {what} are the same, whatever goes in")
        if logits.min() >= 0 and logits.max() <= 1:
            raise Mistake("decode ends in a sigmoid: it must give logits, else the loss applies the sigmoid twice")
        if logits.min() >= -1 and logits.max() <= 1:
            raise Mistake("decode ends in a tanh: it must give logits, which have no bounds")
        for what, values in (("codes", codes), ("logits", logits)):
            if values.min() >= 0:
                raise Mistake(f"no {what} are negative: there is a ReLU after the last layer")
        if _affine(encode, x[:32], x[32:]):
            raise Mistake("the encoder is linear: there is no activation between its layers")
        if _affine(model.decode, z[:32], z[32:]):
            raise Mistake("the decoder is linear: there is no activation between its layers")


def convolutional(model: nn.Module) -> None:
    """Your convolutional body: `encoder` 28 → 14 → 7 → 3 → 1 pixels wide, `decoder` back, BatchNorm on the inner."""
    for network, widths in ((model.encoder, [14, 7, 3, 1]), (model.decoder, [3, 7, 14, 28])):
        which = "encoder" if network is model.encoder else "decoder"
        found: list[int] = []
        layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
        hooks = [m.register_forward_hook(lambda _m, _x, out, seen=found: seen.append(out.shape[-1])) for m in layers]
        try:
            with _mode(model, training=False), torch.no_grad():
                codes = model.encode(torch.zeros(2, 1, 28, 28))
                model.decode(codes if isinstance(codes, Tensor) else codes[0])
        finally:
            for hook in hooks:
                hook.remove()
        if found != widths:
            raise Mistake(f"the {which}'s convolutions must give images {widths} pixels wide, got {found}")
        norms = sum(isinstance(m, nn.BatchNorm2d) for m in network.modules())
        if norms != 3:
            raise Mistake(
                f"the {which} must have 3 BatchNorm2d, one for each convolution but that beside the image, got {norms}"
            )


def _right_draw(mu: Tensor, logvar: Tensor, eps: Tensor) -> Tensor:
    return mu + (logvar / 2).exp() * eps


def vae(model: nn.Module, draw: str | None = None) -> None:
    """What your VAE adds: encode(x) gives (mu, logvar), (B, D) each; forward(x) gives (logits, mu, logvar).

    draw: the dotted name of the function that draws z for it, which is replaced by a right one for as long as this
    takes: its mistakes are `reparametrize`'s to find.
    """
    with mock.patch(draw, _right_draw) if draw else contextlib.nullcontext():
        _check_vae(model)


def _check_vae(model: nn.Module) -> None:
    x = torch.rand(16, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    with _mode(model, training=True), torch.no_grad():
        posterior = model.encode(x)
        if isinstance(posterior, Tensor) or len(posterior) != 2:
            raise Mistake("encode must give two tensors, mu and logvar")
        mu, logvar = posterior
        if mu.shape != logvar.shape or mu.ndim != 2 or len(mu) != 16:
            raise Mistake(f"mu and logvar must be (B, D), got {tuple(mu.shape)} and {tuple(logvar.shape)}")
        if torch.equal(mu, logvar):
            raise Mistake("mu and logvar are the same numbers: each needs outputs of its own")
        if torch.equal(model(x)[0], model(x)[0]):
            raise Mistake("two passes in training give the same: there is no noise, z = mu is used in training")
        if "generator" in inspect.signature(model.forward).parameters:
            first, second = (model(x, generator=torch.Generator().manual_seed(0))[0] for _ in range(2))
            if not torch.equal(first, second):
                raise Mistake("the generator is not used: two passes with the same seed give different noise")
    _check_forward(model, x[:1].repeat(1000, 1, 1, 1))


def _check_forward(model: nn.Module, x: Tensor) -> None:
    """What z forward decodes for one image many times, and what it returns."""
    asked: list[tuple[Tensor, Tensor]] = []
    decoder = getattr(model, "decoder", None)
    watched = model.decode

    def watch(z: Tensor) -> Tensor:
        asked.append((z, watched(z)))
        return asked[-1][1]

    with contextlib.ExitStack() as stack:
        stack.enter_context(_mode(model, training=False))  # many equal images have no batch statistics
        if isinstance(decoder, nn.Module):
            hook = decoder.register_forward_hook(lambda _decoder, args, out: asked.append((args[0], out)))
            stack.callback(hook.remove)
        else:
            model.decode = watch
            stack.callback(delattr, model, "decode")
        answer = model(x)
        mu, logvar = (t.detach() for t in model.encode(x))
    if len(asked) != 1 or asked[0][0].shape != mu.shape:
        raise Mistake(f"forward must decode once, a z of mu's shape {tuple(mu.shape)}")
    z, logits = asked[0]
    if len(answer) != 3 or not all(torch.allclose(a, b) for a, b in zip(answer[1:], (mu, logvar), strict=True)):
        raise Mistake("forward must return (logits, mu, logvar) in this order, the last two as encode gives them")
    if not torch.allclose(answer[0], logits):
        if torch.allclose(answer[0], logits.sigmoid()):
            raise Mistake("forward returns images: it must return logits, else the loss applies the sigmoid twice")
        raise Mistake("forward must return the logits that decode gives for z")
    if not z.requires_grad:
        raise Mistake("no gradient reaches the encoder: z must be computed from mu and logvar, without detach()")
    noise = ((z - mu) / (logvar / 2).exp()).detach()
    if noise.std(0).max() < 0.01:
        raise Mistake("one noise serves the whole batch, or there is next to none: each image needs its own")
    if (noise.mean(0).abs() > 0.15).any() or ((noise.std(0) - 1).abs() > 0.1).any():
        raise Mistake(
            f"z must be drawn from N(mu, exp(logvar)): (z - mu) / σ has mean {noise.mean():.2f} and standard deviation "
            f"{noise.std():.2f}. Look at how forward calls the draw: mu, then logvar, and σ = exp(logvar / 2)"
        )


def sampling(function: Callable[..., Tensor]) -> None:
    """Your sampler: function(model, n) or function(model, n, generator) decodes n draws of z ~ N(0, I), (n, 1, 28, 28).

    The model that it is given has encode, decode (logits), latent_dim, and is in training mode.
    """
    probe, n = _Probe().train(), 4000
    probe.norm.running_mean.fill_(0.3)  # what an earlier training has left
    before = probe.norm.running_mean.clone()
    with_generator = len(inspect.signature(function).parameters) > 2

    def sample() -> Tensor:
        return function(probe, n, *[torch.Generator().manual_seed(0)] * with_generator)

    images = sample()
    if not isinstance(images, Tensor):
        raise Mistake(f"samples must be a tensor, got {type(images).__name__}")
    z = torch.cat(probe.asked) if probe.asked else torch.empty(0)
    if z.shape != (n, 4):
        raise Mistake(f"{n} draws of z, ({n}, 4), must be decoded, got {tuple(z.shape)}")
    if not torch.equal(probe.norm.running_mean, before):
        raise Mistake("BatchNorm is in training mode while sampling: call model.eval() first")
    mean, deviation = z.mean(0), z.std(0)
    if deviation.max() == 0:
        raise Mistake("all z are the same: z must come from N(0, I)")
    if (mean.abs() > 0.08).any() or ((deviation - 1).abs() > 0.06).any():
        raise Mistake(
            f"z must come from N(0, I): its mean is {mean.mean():.2f} and its standard deviation {deviation.mean():.2f}"
            + (". rand gives numbers from 0 to 1: use randn" if z.min() >= 0 and z.max() <= 1 else "")
        )
    if (torch.corrcoef(z.T) - torch.eye(4)).abs().max() > 0.1:
        raise Mistake("the dimensions of z depend on each other: z must come from N(0, I), (n, latent_dim) numbers")
    with torch.no_grad():
        _check_images(images.detach(), probe.eval().decode(z))
    if with_generator and not torch.equal(sample(), images):
        raise Mistake("the generator is not used: two calls with the same seed give different samples")


def interpolation(function: Callable[..., Tensor], steps: int = 5) -> None:
    """Your interpolation: function(model, x_a, x_b, steps), of images (1, 28, 28), gives (steps, 1, 28, 28).

    Both ends belong to it: the decoded posterior means. It is asked for two numbers of steps.
    """
    for n in (steps, steps + 2):
        _check_walk(function, n)


def _check_walk(function: Callable[..., Tensor], steps: int) -> None:
    probe = _Probe().train()
    x_a, x_b = torch.rand(2, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    before = probe.norm.running_mean.clone()
    images = function(probe, x_a, x_b, steps).detach()
    if not torch.equal(probe.norm.running_mean, before):
        raise Mistake("BatchNorm is in training mode while interpolating: call model.eval() first")
    if not probe.asked:
        raise Mistake("nothing is decoded: the points between the two codes must go through model.decode")
    if len(images) != steps:
        raise Mistake(f"{steps} images were asked for, got {len(images)}")
    z = torch.cat(probe.asked)
    with torch.no_grad():
        a, b = probe.eval().encode(torch.stack([x_a, x_b]))[0]
        right = probe.decode(torch.lerp(a, b, torch.linspace(0, 1, steps).unsqueeze(1)))
        if images.shape == right.shape and torch.allclose(images, right.sigmoid(), atol=1e-5):
            return
        t = ((z - a) @ (b - a)) / (b - a).square().sum()  # where on the line from a to b each point lies
        if not torch.allclose(z, a + t.unsqueeze(1) * (b - a), atol=1e-4):
            raise Mistake(
                "the points are not on the straight line from one posterior mean to the other: it is the codes that "
                "are interpolated, not the pixels, and without noise"
            )
        shown = ", ".join(f"{v:.2f}" for v in t.tolist())
        if torch.allclose(t, torch.linspace(1, 0, len(t)), atol=1e-4):
            raise Mistake("the walk goes from the second image to the first")
        if t.max() < 1 - 1e-4:
            raise Mistake(f"the walk misses its end: t = {shown}. t = i / n stops short, use linspace(0, 1, n)")
        if t.min() > 1e-4:
            raise Mistake(f"the walk misses its start: t = {shown}, use linspace(0, 1, n)")
        if len(t) == steps and not torch.allclose(t, torch.linspace(0, 1, steps), atol=1e-4):
            raise Mistake(f"the steps are not even: t = {shown}")
        _check_images(images, right)


# --- The training step -----------------------------------------------------------------------------------------------


class _Watch(torch.optim.SGD):
    """An optimiser that does not move, and keeps each gradient that it is given."""

    def __init__(self, parameters) -> None:
        super().__init__(parameters, lr=0.0)
        self.seen: list[Tensor] = []

    def step(self, closure=None):
        loss = closure() if closure else None
        parameters = [p for group in self.param_groups for p in group["params"]]
        self.seen.append(_flat(torch.zeros_like(p) if p.grad is None else p.grad for p in parameters))
        return loss


def _flat(tensors: Iterable[Tensor]) -> Tensor:
    return torch.cat([t.detach().flatten() for t in tensors])


def training_step(
    function: Callable[[nn.Module, torch.optim.Optimizer, Tensor], object],
    vae: nn.Module,
    loss: Callable[[nn.Module, Tensor], Tensor] | None = None,
) -> None:
    """Your training step: function(model, optimizer, x) takes one step of `vae` on a batch x, (B, 1, 28, 28).

    loss: loss(model, x), whose gradient the step must follow; it must draw the same noise as the step does.
    """
    x = torch.rand(64, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    watch = _Watch(vae.parameters())
    for _ in range(4):
        function(vae, watch, x)
    if len(watch.seen) != 4:
        raise Mistake(f"four calls took {len(watch.seen)} steps: call optimizer.step() once in each")
    sizes = [gradient.norm().item() for gradient in watch.seen]
    if not any(sizes):
        raise Mistake("no gradient arrives at the optimiser: call loss.backward() after zero_grad() and before step()")
    if not sizes[0]:
        raise Mistake("the first step comes before any gradient: call loss.backward() before optimizer.step()")
    ratio = sizes[3] / sizes[0]
    if ratio > 2:
        raise Mistake(
            f"the gradient is not zeroed: of one batch it is {ratio:.1f} times as large in the fourth step as in the "
            "first. Call optimizer.zero_grad() in each step"
        )
    if loss:
        expected = _flat(torch.autograd.grad(loss(vae, x), list(vae.parameters()), materialize_grads=True))
        close = 1e-3 * expected.abs().max().item()
        if torch.allclose(watch.seen[0], -expected, atol=close):
            raise Mistake("the step climbs: the gradient has the wrong sign, minimise the loss")
        if not torch.allclose(watch.seen[0], expected, atol=close):
            raise Mistake(
                "the gradient is not that of the loss: call backward() on the whole loss, as loss_terms gives it"
            )
