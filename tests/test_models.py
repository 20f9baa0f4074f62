"""Shapes, sizes and seeds of the two networks, and that the noise in z has the variance it says."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from hw2 import VAE, AutoEncoder, kl_normal, reconstruction_loss, reparametrize
from hw2.latent import codes, decode, interpolate, reconstruct, sample_prior, traverse
from hw2.models import device_of, inference
from hw2.networks import initialise

SMALL_CONV = (2, 3, 4, 5)
SIZES = [("mlp", ()), ("mlp", (16,)), ("mlp", (24, 16, 8)), ("conv", SMALL_CONV)]


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


# Shapes and sizes


@pytest.mark.parametrize(("arch", "hidden"), SIZES)
@pytest.mark.parametrize("latent_dim", [1, 2, 7])
def test_shapes(arch, hidden, latent_dim):
    x = torch.rand(3, 1, 28, 28)
    ae, vae = (kind(latent_dim, arch, hidden) for kind in (AutoEncoder, VAE))
    assert ae.encode(x).shape == ae.code(x).shape == vae.code(x).shape == (3, latent_dim)
    assert [part.shape for part in vae.encode(x)] == [(3, latent_dim)] * 2
    assert ae.decode(torch.zeros(3, latent_dim)).shape == ae(x).shape == (3, 1, 28, 28)
    logits, mu, logvar = vae(x)
    assert logits.shape == (3, 1, 28, 28)
    assert mu.shape == logvar.shape == (3, latent_dim)


@pytest.mark.parametrize("kind", [AutoEncoder, VAE])
def test_defaults_are_the_homeworks_networks(kind):
    linear = [(m.in_features, m.out_features) for m in kind(32).modules() if isinstance(m, nn.Linear)]
    assert linear == [(784, 512), (512, 256), (256, 32 * kind.heads), (32, 256), (256, 512), (512, 784)]
    assert kind(64, "conv").hidden == (32, 64, 128, 256)


def test_classic_vae_has_the_parameters_of_pytorchs_example():
    example = nn.ModuleList(nn.Linear(*s) for s in [(784, 400), (400, 20), (400, 20), (20, 400), (400, 784)])
    assert parameters(VAE(20, hidden=(400,))) == parameters(example)


@pytest.mark.parametrize(("arch", "hidden"), SIZES)
def test_vae_differs_from_the_autoencoder_by_the_encoders_last_layer_only(arch, hidden):
    ae, vae = (kind(5, arch, hidden).state_dict() for kind in (AutoEncoder, VAE))
    different = [name for name in ae if ae[name].shape != vae[name].shape]
    last = [name for name in ae if name.startswith("encoder")][-2:]
    assert ae.keys() == vae.keys()
    assert different == last
    assert all(len(vae[name]) == 2 * len(ae[name]) for name in last)


@pytest.mark.parametrize("kind", [AutoEncoder, VAE])
def test_conv_sizes_and_channels(kind):
    model, seen = kind(64, "conv"), []
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            module.register_forward_hook(lambda _module, args, out: seen.append((*args[0].shape[1:], *out.shape[1:])))
    with inference(model):
        model(torch.zeros(2, 1, 28, 28))
    sizes = [(1, 28), (32, 14), (64, 7), (128, 3), (256, 1)]
    there = [(c, n, n, d, m, m) for (c, n), (d, m) in itertools.pairwise(sizes)]
    back = [(d, m, m, c, n, n) for (c, n, _, d, m, _) in reversed(there)]
    assert seen == there + back


def test_conv_normalises_every_block_but_the_first():
    model = AutoEncoder(8, "conv")
    for body, kind, without in ((model.encoder, nn.Conv2d, [0]), (model.decoder, nn.ConvTranspose2d, [3])):
        layers = list(body)
        convolutions = [i for i, layer in enumerate(layers) if isinstance(layer, kind)]
        bare = [n for n, i in enumerate(convolutions) if not isinstance(([*layers, None])[i + 1], nn.BatchNorm2d)]
        assert len(convolutions) == 4
        assert bare == without  # the decoder's last one makes the logits


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((4, "cnn"), "'cnn'.*mlp.*conv"),
        ((0,), "latent_dim.*got 0"),
        ((-3,), "got -3"),
        ((2.0,), "got 2.0"),
        ((4, "mlp", (16, 0)), "hidden.*got 0"),
        ((4, "mlp", (1.5,)), "1.5"),
        ((4, "conv", (8, 8, 8)), "four"),
    ],
)
@pytest.mark.parametrize("kind", [AutoEncoder, VAE])
def test_impossible_networks_are_refused(kind, arguments, named):
    with pytest.raises(ValueError, match=named):
        kind(*arguments)


@pytest.mark.parametrize("shape", [(2, 3), (2, 5), (4,), (2, 4, 1)])
@pytest.mark.parametrize("arch", ["mlp", "conv"])
def test_decoding_another_latent_size_is_refused(arch, shape):
    model = AutoEncoder(4, arch, (8,) if arch == "mlp" else SMALL_CONV)
    with pytest.raises(ValueError, match=r"\(B, 4\).*got \(" + ", ".join(map(str, shape))):
        model.decode(torch.zeros(shape))


def test_device_of_says_where_the_parameters_are():
    model = AutoEncoder(2, hidden=(4,))
    assert device_of(model) == torch.device("cpu")
    assert device_of(model.to("meta")) == torch.device("meta")


# Seeds


@pytest.mark.parametrize(("arch", "hidden"), SIZES)
@pytest.mark.parametrize("kind", [AutoEncoder, VAE])
def test_initial_weights_depend_on_the_seed_alone(kind, arch, hidden, global_rng_untouched):
    first = kind(3, arch, hidden, seed=1).state_dict()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(12345)
        again = kind(3, arch, hidden, seed=1).state_dict()
    other = kind(3, arch, hidden, seed=2).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    random = [name for name in first if name.endswith("weight") and first[name].ndim > 1]
    assert random
    assert not any(torch.equal(first[name], other[name]) for name in random)


def test_initial_weights_are_the_same_when_models_are_built_in_several_threads(global_rng_untouched):
    """A sweep on a ThreadPoolExecutor builds models at the same time; torch's default generator is one for all."""

    def weights(seed):
        return VAE(4, hidden=(64, 64), seed=seed).state_dict()

    alone = [weights(seed) for seed in range(60)]
    with ThreadPoolExecutor(4) as executor:
        together = list(executor.map(weights, range(60)))
    assert all(torch.equal(a[name], b[name]) for a, b in zip(alone, together, strict=True) for name in a)


# Noise


@pytest.mark.parametrize("mu", [-1.5, 0.0, 3.0])
@pytest.mark.parametrize("logvar", [-4.0, -1.0, 0.0, 2.0])
def test_draws_have_the_posteriors_mean_and_variance(mu, logvar):
    """Without exp, or with log σ read as log σ², the variance is another."""
    shape = (200_000, 1)
    z = reparametrize(torch.full(shape, mu), torch.full(shape, logvar), torch.randn(shape, generator=seeded(0)))
    variance = torch.tensor(logvar).exp()
    torch.testing.assert_close(z.mean(), torch.tensor(mu), rtol=0, atol=0.01 * variance.sqrt().item())
    torch.testing.assert_close(z.var(), variance, rtol=0.02, atol=0)


def test_forward_draws_from_the_posterior_that_it_returns():
    model = VAE(2, hidden=())
    model.encoder = nn.Sequential(nn.Flatten(), nn.Linear(784, 4))
    nn.init.zeros_(model.encoder[1].weight)
    model.encoder[1].bias.data = torch.tensor([1.0, -2.0, -3.0, 1.0])  # mu, mu, logvar, logvar
    model.decoder = nn.Identity()
    with inference(model):
        z, mu, logvar = model(torch.zeros(1, 1, 28, 28).expand(100_000, -1, -1, -1), seeded(1))
    torch.testing.assert_close(z.mean(0), mu[0], rtol=0, atol=0.03)
    torch.testing.assert_close(z.var(0), logvar[0].exp(), rtol=0.03, atol=0)
    assert z.T.corrcoef()[0, 1].abs() < 0.02  # a number of its own for each dimension


def test_gradients_pass_through_the_draw():
    """d/dμ E z² = 2μ and d/dlog σ² E z² = σ²: the reparametrisation's gradient is that of the expectation."""
    mu, logvar = torch.tensor(0.7, requires_grad=True), torch.tensor(-1.0, requires_grad=True)
    eps = torch.randn(200_000, generator=seeded(2))
    reparametrize(mu, logvar, eps).square().mean().backward()
    torch.testing.assert_close(mu.grad, torch.tensor(1.4), rtol=0.02, atol=0)
    torch.testing.assert_close(logvar.grad, torch.tensor(-1.0).exp(), rtol=0.02, atol=0)


@given(logvar=st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_any_finite_logvar_gives_a_finite_draw_and_gradient(logvar):
    logvar = torch.tensor(logvar, requires_grad=True)
    z = reparametrize(torch.tensor(0.5), logvar, torch.tensor(1.3))
    z.backward()
    assert z.isfinite()
    assert logvar.grad.isfinite()


def test_forward_with_a_generator_is_repeatable(digits, global_rng_untouched):
    model, x = VAE(3, hidden=(8,)), digits.images[:4]
    first, again, other = (model(x, seeded(seed))[0] for seed in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_forward_without_a_generator_draws_anew(digits):
    model, x = VAE(3, hidden=(8,)), digits.images[:4]
    assert not torch.equal(model(x)[0], model(x)[0])


def test_every_image_has_noise_of_its_own(digits):
    model = VAE(3, hidden=(8,))
    logits = model(digits.images[:1].expand(2, -1, -1, -1), seeded(0))[0]
    assert not torch.equal(logits[0], logits[1])


def test_the_vaes_code_is_its_posterior_mean(digits):
    model = VAE(3, hidden=(8,))
    assert torch.equal(model.code(digits.images), model.encode(digits.images).mu)


# Modes


USES = {
    "decode": lambda model, x: decode(model, torch.zeros(3, 4)),
    "codes": lambda model, x: codes(model, x),
    "reconstruct": lambda model, x: reconstruct(model, x),
    "sample_prior": lambda model, x: sample_prior(model, 3, seeded(0)),
    "interpolate": lambda model, x: interpolate(model, x[0], x[1]),
    "traverse": lambda model, x: traverse(model, x[0], 1, torch.linspace(-1, 1, 3)),
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("kind", [AutoEncoder, VAE])
def test_using_a_model_leaves_batchnorm_and_mode_as_they_were(kind, training, use, digits, unchanged):
    model = kind(4, "conv", SMALL_CONV).train(training)
    with unchanged(model):
        in_this_mode = USES[use](model, digits.images[:6])
    assert torch.equal(in_this_mode, USES[use](model.eval(), digits.images[:6]))
    assert not in_this_mode.requires_grad


def test_train_mode_would_have_changed_the_statistics(digits, unchanged):
    """That the test above can fail."""
    model = AutoEncoder(4, "conv", SMALL_CONV)
    with pytest.raises(AssertionError), unchanged(model):
        model(digits.images)


@pytest.mark.parametrize("training", [True, False])
def test_mode_and_gradients_come_back_after_an_error(training, unchanged):
    model = AutoEncoder(4, hidden=(8,)).train(training)
    with unchanged(model), pytest.raises(ValueError, match="latent size"):
        decode(model, torch.zeros(3, 5))
    assert torch.is_grad_enabled()


@pytest.mark.parametrize(
    "shapes", [((4, 3), (4, 3), (3,)), ((4, 3), (4, 1), (4, 3)), ((4, 3), (4, 3), (4, 1)), ((3,), (4, 3), (4, 3))]
)
def test_the_draw_does_not_broadcast(shapes):
    with pytest.raises(ValueError, match="one shape"):
        reparametrize(*map(torch.zeros, shapes))


@pytest.mark.parametrize("options", [{"seed": 1.5}, {"seed": -1}, {"hidden": 16, "arch": "conv"}, {"hidden": 2.5}])
def test_options_of_the_wrong_type_are_refused_in_words(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        VAE(2, **options)


# What the weights start from, and what a batch contributes


def test_conv_activations_leak_a_fifth():
    slopes = [m.negative_slope for m in AutoEncoder(4, "conv").modules() if isinstance(m, nn.LeakyReLU)]
    assert slopes == [0.2] * 7
    x = torch.tensor([-1.0, 2.0])
    leaky = next(m for m in VAE(4, "conv").decoder if isinstance(m, nn.LeakyReLU))
    torch.testing.assert_close(leaky(x), torch.tensor([-0.2, 2.0]))


@pytest.mark.parametrize(("arch", "hidden"), [("mlp", None), ("conv", None)])
def test_initial_weights_are_pytorchs_default_drawn_from_the_models_own_seed(arch, hidden):
    """Uniform within ±1/√fan_in, biases too; as PyTorch fills the same layers, built one by one, after that seed."""
    model = VAE(8, arch, hidden, seed=5)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        for layer in (*model.encoder, *model.decoder):
            mine = [p.detach().clone() for p in layer.parameters()]
            if mine:
                layer.reset_parameters()
            assert all(torch.equal(m, p) for m, p in zip(mine, layer.parameters(), strict=True)), layer


def test_a_layer_that_nobody_fills_is_refused():
    class Scale(nn.Module):
        def __init__(self):
            super().__init__()
            self.factor = nn.Parameter(torch.ones(3))

    with torch.device("meta"):
        network = nn.Sequential(nn.Linear(2, 3), Scale())
    with pytest.raises(TypeError, match=r"Scale has no reset_parameters\(\)"):
        initialise(network, torch.Generator())


@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
@pytest.mark.parametrize("kind", [AutoEncoder, VAE])
def test_terms_are_each_images_own(kind, likelihood, digits):
    model, x = kind(3, hidden=(8,)), digits.images[:6]
    recon, kl = model.terms(x, likelihood, seeded(0))
    torch.testing.assert_close(recon, reconstruction_loss(
        model(x) if kind is AutoEncoder else model(x, seeded(0))[0], x, likelihood))  # fmt: skip
    expected = torch.zeros(6) if kind is AutoEncoder else kl_normal(*model.encode(x))
    torch.testing.assert_close(kl, expected)
    assert recon.requires_grad


def test_an_arch_that_cannot_be_looked_up_is_unknown_too():
    with pytest.raises(ValueError, match=r"unknown arch \['mlp'\]"):
        VAE(2, ["mlp"])


def test_a_convolution_before_a_batchnorm_has_no_bias():
    modules = VAE(4, "conv", SMALL_CONV).modules()
    biased = [m.bias is not None for m in modules if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    assert biased == [True, *[False] * 6, True]


def test_conv_kernels_are_4_4_3_3_and_back():
    modules = AutoEncoder(4, "conv", SMALL_CONV).modules()
    kernels = [m.kernel_size for m in modules if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    assert kernels == [(n, n) for n in (4, 4, 3, 3, 3, 3, 4, 4)]


@pytest.mark.parametrize("kind", [AutoEncoder, VAE])
def test_the_mlp_is_linear_layers_with_a_relu_between(kind):
    model = kind(3, hidden=(16, 8))
    between = [nn.Linear, nn.ReLU, nn.Linear, nn.ReLU, nn.Linear]
    assert [type(layer) for layer in model.encoder] == [nn.Flatten, *between]
    assert [type(layer) for layer in model.decoder] == [*between, nn.Unflatten]


def test_the_first_half_of_what_the_encoder_gives_is_mu_and_the_second_logvar(digits):
    model = VAE(3, hidden=(8,))
    mu, logvar = model.encode(digits.images)
    assert torch.equal(torch.cat([mu, logvar], 1), model.encoder(digits.images))


@pytest.mark.parametrize("kind", [AutoEncoder, VAE])
def test_the_seed_is_0_if_none_is_given(kind):
    default, zero = kind(2, hidden=(4,)).state_dict(), kind(2, hidden=(4,), seed=0).state_dict()
    assert all(torch.equal(default[name], zero[name]) for name in zero)


def test_a_vanishing_sigma_has_no_floor():
    z = reparametrize(torch.zeros(1, 1), torch.full((1, 1), -150.0), torch.ones(1, 1))
    torch.testing.assert_close(z, torch.full((1, 1), -75.0).exp(), rtol=1e-4, atol=0)
