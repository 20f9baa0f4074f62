"""Right models pass, of every architecture; those that lack a part, or have one too many, are named."""

import pytest
import torch
from torch import nn

import hw2
from hw2 import checks


def changed(kind=hw2.AutoEncoder, **networks):
    """A small model with some of its networks replaced: encoder, decoder."""
    model = kind(3, hidden=(8,))
    for name, network in networks.items():
        setattr(model, name, network)
    return model


def encoder(*last, activation=nn.ReLU):
    """The same weights each time: with others, about one in ten with a sigmoid inside has no negative codes."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(784, 64), activation(), nn.Linear(64, 3), *last)


def decoder(*last, activation=nn.ReLU):
    return nn.Sequential(nn.Linear(3, 64), activation(), nn.Linear(64, 784), *last, nn.Unflatten(1, (1, 28, 28)))


ARCHS = [("mlp", (8,)), ("mlp", None), ("conv", (2, 3, 4, 5)), ("conv", None)]
RIGHT = [
    *[(checks.vae, hw2.VAE(3, arch, hidden), {}) for arch, hidden in ARCHS],
    *[(checks.autoencoder, kind(3, arch, hidden), {}) for arch, hidden in ARCHS for kind in (hw2.VAE, hw2.AutoEncoder)],
    *[(checks.convolutional, kind(3, "conv", (2, 3, 4, 5)), {}) for kind in (hw2.VAE, hw2.AutoEncoder)],
    (checks.autoencoder, changed(decoder=decoder(activation=nn.Tanh)), {}),
    (checks.autoencoder, changed(encoder=encoder(activation=nn.Sigmoid)), {}),
]


@pytest.mark.parametrize(("check", "submission", "options"), RIGHT, ids=lambda v: getattr(v, "__name__", None))
def test_right_submissions_pass(check, submission, options):
    check(submission, **options)


class Reshapes(hw2.VAE):
    """Its decoder gives (B, 784), which decode makes images of."""

    def __init__(self):
        super().__init__(3, hidden=(8,))
        self.decoder = self.decoder[:-1]

    def decode(self, z):
        return self.decoder(z).view(-1, 1, 28, 28)


class CallsItsDecoder(hw2.VAE):
    """Its forward does without decode."""

    def forward(self, x, generator=None):
        mu, logvar = self.encode(x)
        eps = torch.randn(mu.shape, generator=generator, device=mu.device)
        return self.decoder(hw2.reparametrize(mu, logvar, eps)), mu, logvar


class TwoHeads(nn.Module):
    """A VAE from nothing, with a head for mu and one for logvar."""

    def __init__(self):
        super().__init__()
        self.body, self.mu, self.logvar = nn.Linear(784, 16), nn.Linear(16, 2), nn.Linear(16, 2)
        self.decode = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 784), nn.Unflatten(1, (1, 28, 28)))

    def encode(self, x):
        h = self.body(x.flatten(1)).relu()
        return self.mu(h), self.logvar(h)

    def forward(self, x):
        mu, logvar = self.encode(x)
        return self.decode(mu + (logvar / 2).exp() * torch.randn_like(mu)), mu, logvar


@pytest.mark.parametrize(
    "model", [Reshapes(), CallsItsDecoder(3, hidden=(8,)), TwoHeads()], ids=lambda m: type(m).__name__
)
def test_other_right_vaes_pass(model):
    checks.vae(model)
    checks.autoencoder(model)


class View(nn.Module):
    """What students write in place of nn.Flatten and nn.Unflatten."""

    def __init__(self, *shape):
        super().__init__()
        self.shape = shape

    def forward(self, x):
        return x.view(len(x), *self.shape)


class Leaky(nn.Module):
    def forward(self, x):
        return nn.functional.leaky_relu(x, 0.2)


def with_modules_of_its_own(arch):
    hidden = (8,) if arch == "mlp" else (2, 3, 4, 5)
    model = hw2.AutoEncoder(3, arch, hidden)
    for network in (model.encoder, model.decoder):
        for i, layer in enumerate(network):
            if isinstance(layer, nn.Flatten):
                network[i] = View(-1)
            elif isinstance(layer, nn.Unflatten):
                network[i] = View(*layer.unflattened_size)
            elif isinstance(layer, nn.LeakyReLU):
                network[i] = Leaky()
    return model


def with_one_activation():
    """The same LeakyReLU at all of its places."""
    model, one = hw2.AutoEncoder(3, "conv", (2, 3, 4, 5)), nn.LeakyReLU(0.2, inplace=True)
    for network in (model.encoder, model.decoder):
        for i, layer in enumerate(network):
            network[i] = one if isinstance(layer, nn.LeakyReLU) else layer
    return model


class Block(nn.Module):
    """A convolution and its BatchNorm, with an activation that is called, and is no layer."""

    def __init__(self, convolution, norm, activation):
        super().__init__()
        self.convolution, self.norm, self.activation = convolution, norm, activation

    def forward(self, x):
        return self.activation(self.norm(self.convolution(x)))


def with_blocks(activation):
    model = hw2.AutoEncoder(3, "conv", (2, 3, 4, 5))
    for which in ("encoder", "decoder"):
        layers = [*getattr(model, which)]
        for norm in [layer for layer in layers if isinstance(layer, nn.BatchNorm2d)]:
            at = layers.index(norm)
            layers[at - 1 : at + 2] = [Block(layers[at - 1], norm, activation)]
        setattr(model, which, nn.Sequential(*layers))
    return model


def test_an_activation_that_a_block_calls_is_seen():
    checks.convolutional(with_blocks(lambda x: nn.functional.leaky_relu(x, 0.2)))
    with pytest.raises(AssertionError, match=r"LeakyReLU\(0.2\) must come after BatchNorm2d, got ReLU"):
        checks.convolutional(with_blocks(torch.relu))
    with pytest.raises(AssertionError, match=r"got LeakyReLU\(0.01\): 0.01 is PyTorch's own slope"):
        checks.convolutional(with_blocks(nn.functional.leaky_relu))


class Twice(nn.Module):
    """A last block that gives a pair, as an encoder with two heads in one would."""

    def __init__(self, linear):
        super().__init__()
        self.linear = linear

    def forward(self, x):
        return self.linear(x), self.linear(x)


@pytest.mark.parametrize("last", [Twice, lambda linear: nn.Sequential(linear.double())], ids=["pair", "double"])
def test_an_encoder_that_gives_no_codes_gets_a_sentence(last):
    model = hw2.AutoEncoder(3, "conv", (2, 3, 4, 5))
    model.encoder[-1] = last(model.encoder[-1])
    with pytest.raises(AssertionError):
        checks.autoencoder(model)


def test_modules_of_ones_own_that_do_the_same_pass():
    checks.fully_connected(with_modules_of_its_own("mlp"), 3, (8,))
    checks.convolutional(with_modules_of_its_own("conv"))
    checks.convolutional(with_one_activation())


@pytest.mark.parametrize("kind", [hw2.AutoEncoder, hw2.VAE])
def test_no_right_encoder_is_accused_whatever_its_first_weights(kind):
    """With three dimensions all codes of a right one are positive once in ten times."""
    for seed in range(40):
        model = kind(3, hidden=(20,), seed=seed)
        checks.autoencoder(model)
        if kind is hw2.VAE and seed < 10:
            checks.vae(model, halves=True)


class SigmoidInside(hw2.VAE):
    def decode(self, z):
        return super().decode(z).sigmoid()


class OneHead(hw2.VAE):
    def encode(self, x):
        mu, _ = super().encode(x)
        return mu, mu


class OneTensor(hw2.VAE):
    def encode(self, x):
        return self.encoder(x)


class OwnNoise(hw2.VAE):
    def forward(self, x, generator=None):
        return super().forward(x)


class Constant(hw2.AutoEncoder):
    def encode(self, x):
        return torch.ones(len(x), self.latent_dim)


class Unflattened(hw2.AutoEncoder):
    def encode(self, x):
        return x


class NoNoise(hw2.VAE):
    def forward(self, x, generator=None):
        mu, logvar = self.encode(x)
        return self.decode(mu), mu, logvar


def without_norm():
    model = hw2.AutoEncoder(3, "conv", (2, 3, 4, 5))
    model.encoder = nn.Sequential(*[layer for layer in model.encoder if not isinstance(layer, nn.BatchNorm2d)])
    return model


def stretched():
    """The first convolution without its stride."""
    model = hw2.AutoEncoder(3, "conv", (2, 3, 4, 5))
    rest = [nn.AdaptiveAvgPool2d(14), *model.encoder[1:]]
    model.encoder = nn.Sequential(nn.Conv2d(1, 2, 4, 1, 1), *rest)
    return model


def forward(change):
    """A VAE whose forward is `change(model, mu, logvar, eps)`."""

    class Changed(hw2.VAE):
        def forward(self, x, generator=None):
            mu, logvar = self.encode(x)
            eps = torch.randn(mu.shape, generator=generator)
            return change(self, mu, logvar, eps)

    return Changed(3, hidden=(8,))


def drawn(z_of):
    return forward(lambda model, mu, logvar, eps: (model.decode(z_of(mu, logvar, eps)), mu, logvar))


FAULTY = {
    "sigmoid inside": (checks.autoencoder, SigmoidInside(3, hidden=(8,)), "decode ends in a sigmoid"),
    "tanh inside": (checks.autoencoder, changed(decoder=decoder(nn.Tanh())), "decode ends in a tanh"),
    "relu after the logits": (checks.autoencoder, changed(decoder=decoder(nn.ReLU())), "no logits are negative"),
    "relu after the codes": (checks.autoencoder, changed(encoder=encoder(nn.ReLU())), "no codes are negative"),
    "linear encoder": (checks.autoencoder, changed(encoder=encoder(activation=nn.Identity)), "the encoder is linear"),
    "linear decoder": (checks.autoencoder, changed(decoder=decoder(activation=nn.Identity)), "the decoder is linear"),
    "blind encoder": (checks.autoencoder, Constant(3, hidden=(8,)), "all codes are the same"),
    "flat logits": (checks.autoencoder, changed(decoder=nn.Linear(3, 784)), r"must give \(B, 1, 28, 28\)"),
    "codes like images": (checks.autoencoder, Unflattened(3, hidden=(8,)), r"codes must be \(B, D\)"),
    "no convolution": (checks.convolutional, hw2.AutoEncoder(3), r"encoder's convolutions .* got \[\]"),
    "no norm": (checks.convolutional, without_norm(), "encoder must have 3 BatchNorm2d"),
    "same width": (checks.convolutional, stretched(), r"must give images .* got \[27"),
    "z is mu": (checks.vae, NoNoise(3, hidden=(8,)), "z = mu is used in training"),
    "one head": (checks.vae, OneHead(3, hidden=(8,)), "the same numbers"),
    "no heads": (checks.vae, OneTensor(3, hidden=(8,)), "two tensors"),
    "noise of its own": (checks.vae, OwnNoise(3, hidden=(8,)), "the generator is not used"),
    "forward without exp": (checks.vae, drawn(lambda m, v, e: m + v * e), "there is next to none|must be drawn"),
    "forward swaps": (checks.vae, drawn(lambda m, v, e: v + (m / 2).exp() * e), "the draw takes mu, then logvar"),
    "forward of noise alone": (checks.vae, drawn(lambda m, v, e: e + 0.5), "no gradient reaches"),
    "one noise for the batch": (checks.vae, drawn(lambda m, v, e: m + (v / 2).exp() * e[:1]), "serves the whole batch"),
    "forward detached": (checks.vae, drawn(lambda m, v, e: (m + (v / 2).exp() * e).detach()), "no gradient reaches"),
    "forward of images": (
        checks.vae,
        forward(lambda model, m, v, e: (model.decode(m + (v / 2).exp() * e).sigmoid(), m, v)),
        "forward returns images",
    ),
    "forward in another order": (
        checks.vae, forward(lambda model, m, v, e: (model.decode(m + (v / 2).exp() * e), v, m)), "in this order",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("check", "submission", "named"), FAULTY.values(), ids=FAULTY)
def test_faulty_submissions_are_named(check, submission, named):
    with pytest.raises(checks.Mistake, match=named):
        check(submission)


def test_a_wrong_draw_is_not_counted_against_the_forward_that_calls_it(monkeypatch):
    monkeypatch.setattr(hw2.models, "reparametrize", lambda mu, logvar, eps: mu + logvar * eps)
    with pytest.raises(checks.Mistake):
        checks.vae(hw2.VAE(3))
    checks.vae(hw2.VAE(3), draw="hw2.models.reparametrize")


def test_a_model_keeps_its_mode_and_weights(unchanged):
    model = hw2.VAE(3, hidden=(8,)).eval()
    with unchanged(model):
        checks.autoencoder(model)
        checks.vae(model)
