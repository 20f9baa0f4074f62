"""Mistakes that students make in the functions that they write, as the bodies that they would write, and what is said.

{task: {function: {mistake: (body, words of the sentence)}}}. `submission` puts one into hw2.
"""
# ruff: noqa: E501

import contextlib
import textwrap
from unittest import mock

import hw2

ARGUMENTS = {
    "networks.mlp_encoder": "n_out, hidden",
    "networks.mlp_decoder": "latent_dim, hidden",
    "networks.conv_encoder": "n_out, channels",
    "networks.conv_decoder": "latent_dim, channels",
    "models.reparametrize": "mu, logvar, eps",
    "models.VAE.encode": "self, x",
    "models.VAE.forward": "self, x, generator=None",
    "losses.reconstruction_loss": "logits, x, likelihood='gaussian'",
    "losses.kl_per_dimension": "mu, logvar",
    "losses.kl_normal": "mu, logvar",
    "training.training_step": "model, optimizer, x, config, generator=None",
    "latent.sample_prior": "model, n, generator",
    "latent.lerp": "a, b, t",
    "latent.path_positions": "steps",
    "latent.walk": "model, x_a, x_b, t, method='linear'",
    "latent.interpolate": "model, x_a, x_b, steps=7, method='linear'",
}
SIGMA = "torch.exp(0.5 * logvar.clamp(max=LOGVAR_MAX))"
EPS = "eps = torch.randn(mu.shape, generator=generator, device=mu.device)"
ENCODED = f"mu, logvar = self.encode(x)\n{EPS}\n"
STEP = "recon, kl, loss = loss_terms(model, x, config, generator)\noptimizer.zero_grad()\nloss.backward()\noptimizer.step()\n"
DETACHED = "return recon.detach(), kl.detach(), loss.detach()"
KL = "logvar = logvar.clamp(max=60)\nreturn 0.5 * (mu**2 + logvar.exp() - 1 - logvar)"
SUM = ".flatten(1).sum(1)"
CROSS_ENTROPY = "F.binary_cross_entropy_with_logits(logits, x, reduction='none')"
PROBABILITY = "p = logits.sigmoid()\nif likelihood == 'gaussian':\n    return (p - x).square().flatten(1).sum(1)\n"
ENDS = "a, b = codes(model, torch.stack([x_a, x_b]))\nt = path_positions(steps)\n"
WALK = "z = (lerp if method == 'linear' else slerp)(codes(model, x_a), codes(model, x_b), t)\nreturn decode(model, z.flatten(0, 1)).unflatten(0, z.shape[:2])"
VIEW = "class View(nn.Module):\n    def __init__(self, *shape):\n        super().__init__()\n        self.shape = shape\n    def forward(self, x):\n        return x.view(*self.shape)\n"


def conv(
    slope=0.2,
    bias=False,
    first="",
    between="nn.BatchNorm2d({n}), nn.LeakyReLU({slope})",
    last="",
    geometry=((4, 2, 1), (4, 2, 1), (3, 2), (3, 2)),
    more="",
):
    """The body of conv_encoder, with one thing another."""
    a, b, c, d = (", ".join(map(str, g)) for g in geometry)
    block = f"lambda m, n, *g: [nn.Conv2d(m, n, *g, bias={bias}{more}), {between.format(n='n', slope=slope)}]"
    return (
        f"a, b, c, d = channels\nblock = {block}\n"
        f"return nn.Sequential(nn.Conv2d(1, a, {a}), {first}nn.LeakyReLU({slope}), *block(a, b, {b}), *block(b, c, {c}), "
        f"*block(c, d, {d}), nn.Flatten(), nn.Linear(d, n_out){last})"
    )


def back(bias=False, start="", last="", geometry=((3, 2), (3, 2), (4, 2, 1), (4, 2, 1)), act="nn.LeakyReLU(0.2)"):
    """The body of conv_decoder, with one thing another."""
    a, b, c, d = (", ".join(map(str, g)) for g in geometry)
    block = f"lambda m, n, *g: [nn.ConvTranspose2d(m, n, *g, bias={bias}), nn.BatchNorm2d(n), {act}]"
    return (
        f"a, b, c, d = channels\nblock = {block}\n"
        f"return nn.Sequential(nn.Linear(latent_dim, d), {start}nn.Unflatten(1, (d, 1, 1)), *block(d, c, {a}), "
        f"*block(c, b, {b}), *block(b, a, {c}), nn.ConvTranspose2d(a, 1, {d}){last})"
    )


def mlp(start="nn.Flatten(), ", act="nn.ReLU()", end="", sizes="(784, *hidden)", wrap="nn.Sequential({})", bias=""):
    """The body of mlp_encoder, with one thing another."""
    layers = f"{start}*[layer for m, n in itertools.pairwise({sizes}) for layer in (nn.Linear(m, n{bias}), {act})], nn.Linear({sizes}[-1], n_out){end}"
    return f"return {wrap.format(layers)}"


def painter(end="nn.Unflatten(1, SHAPE)", act="nn.ReLU()", sizes="(latent_dim, *reversed(hidden))"):
    """The body of mlp_decoder, with one thing another."""
    layers = f"*[layer for m, n in itertools.pairwise({sizes}) for layer in (nn.Linear(m, n), {act})], nn.Linear({sizes}[-1], 784)"
    return f"return nn.Sequential({layers}, {end})"


MISTAKES = {
    "Encoder and decoder, fully connected": {
        "networks.mlp_encoder": {
            "return forgotten": ("network = nn.Sequential(nn.Flatten())", "the encoder is None: is the function's `return` forgotten?"),
            "no Flatten": (mlp(start=""), "need an nn.Flatten(), which keeps B, before the first linear layer"),
            "ReLU after the last layer": (mlp(end=", nn.ReLU()"), "no codes are negative: there is a ReLU, or the like, after the last layer"),
            "tanh after the last layer": (mlp(end=", nn.Tanh()"), "in the encoder, nothing must come after the last layer, got Tanh"),
            "no activation": (mlp(act="nn.Identity()"), "the encoder is linear"),
            "LeakyReLU for ReLU": (mlp(act="nn.LeakyReLU()"), "ReLU must come after Linear(784, 30), got LeakyReLU(0.01)"),
            "sizes reversed": (mlp(sizes="(784, *reversed(hidden))"), "Linear(784, 30) must come after Flatten, got Linear(784, 10)"),
            "sizes of one's own": (mlp(sizes="(784, 512, 256)"), "Linear(784, 30) must come after Flatten, got Linear(784, 512)"),
            "Sequential inside": (mlp(wrap="nn.Sequential(nn.Sequential({}))"), "must be one flat nn.Sequential"),
            "a list": (mlp(wrap="[{}]"), "must be an nn.Sequential, got list"),
            "dropout": (mlp(act="nn.ReLU(), nn.Dropout(0.1)"), "Linear(30, 20) must come after ReLU, got Dropout"),
            "no biases": (mlp(bias=", bias=False"), "a linear layer needs its bias"),
            "a name misspelled": ("return nn.Sequental(nn.Flatten())", "has no attribute 'Sequental'"),
            "a name not imported": ("return Sequential(nn.Flatten())", "imported at the top of the file?"),
            "a module that mixes B and pixels": (VIEW + mlp(start="View(784, -1), "), "View makes (784, 11) of (11, 1, 28, 28): the first dimension is B"),
            "a module that gives rows too short": (VIEW + mlp(start="View(-1, 28, 28), "), "in the encoder, Linear(784, 30) cannot take (11, 28, 28)"),
            "Flatten of all": (mlp(start="nn.Flatten(0), "), "Flatten makes (8624,) of (11, 1, 28, 28): the first dimension is B"),
            "twice as many": (mlp().replace("n_out)", "2 * n_out)"), "the encoder must give n_out = 3 numbers for an image, got 6"),
            "no last layer": ("return nn.Sequential(nn.Flatten(), *[l for m, n in itertools.pairwise((784, *hidden)) for l in (nn.Linear(m, n), nn.ReLU())])", "the encoder must give n_out = 3 numbers for an image, got 10"),
            "a list inside": ("return nn.Sequential([nn.Flatten(), nn.Linear(784, n_out)])", "Sequential takes layers one by one, of a list *layers"),
            "an activation without brackets": (mlp(act="nn.ReLU"), "nn.ReLU(), with brackets"),
            "two sizes": ("a, b = hidden\nreturn nn.Sequential(nn.Flatten(), nn.Linear(784, a), nn.ReLU(), nn.Linear(a, b), nn.ReLU(), nn.Linear(b, n_out))", "has more or fewer parts than there are names on the left"),
            "a module without super": (VIEW.replace("        super().__init__()\n", "") + mlp(start="View(-1, 784), "), "must begin with super().__init__()"),
        },
        "networks.mlp_decoder": {
            "sigmoid at the end": (painter("nn.Sigmoid(), nn.Unflatten(1, SHAPE)"), "decode ends in a sigmoid"),
            "tanh at the end": (painter("nn.Tanh(), nn.Unflatten(1, SHAPE)"), "decode ends in a tanh"),
            "ReLU at the end": (painter("nn.ReLU(), nn.Unflatten(1, SHAPE)"), "no logits are negative"),
            "no Unflatten": (painter("nn.Identity()"), "decode must give (B, 1, 28, 28), got (64, 784)"),
            "sizes not reversed": (painter(sizes="(latent_dim, *hidden)"), "Linear(3, 10) must come first, got Linear(3, 30)"),
            "no activation": (painter(act="nn.Identity()"), "the decoder is linear"),
            "three dimensions": (painter("nn.Unflatten(1, (28, 28))"), "decode must give (B, 1, 28, 28), got (64, 28, 28)"),
            "a module that puts B last": (VIEW + painter("View(1, 28, 28, -1)"), "View makes (1, 28, 28, 11) of (11, 784): the first dimension is B"),
            "Unflatten of B": (painter("nn.Unflatten(0, (-1, 1, 28))"), "in the decoder, Unflatten cannot take (11, 784)"),
        },
    },
    "Encoder and decoder, convolutional": {
        "networks.conv_encoder": {
            "ReLU for LeakyReLU": (conv(between="nn.BatchNorm2d({n}), nn.ReLU()"), "LeakyReLU(0.2) must come after BatchNorm2d, got ReLU"),
            "PyTorch's slope": (conv(slope=0.01), "got LeakyReLU(0.01): 0.01 is PyTorch's own slope"),
            "bias before BatchNorm": (conv(bias=True), "convolution 2 of the encoder has a bias, which the BatchNorm after it subtracts again"),
            "BatchNorm on the first": (conv(first="nn.BatchNorm2d(a), "), "must have 3 BatchNorm2d, one for each convolution but that beside the image, got 4"),
            "no BatchNorm": (conv(between="nn.LeakyReLU({slope})"), "must have 3 BatchNorm2d, one for each convolution but that beside the image, got 0"),
            "activation before BatchNorm": (conv(between="nn.LeakyReLU({slope}), nn.BatchNorm2d({n})"), "BatchNorm2d must come after Conv2d, got LeakyReLU(0.2)"),
            "LeakyReLU after the last layer": (conv(last=", nn.LeakyReLU(0.2)"), "nothing must come after the last layer, got LeakyReLU(0.2)"),
            "ReLU after the last layer": (conv(last=", nn.ReLU()"), "nothing must come after the last layer, got ReLU"),
            "padding 1 everywhere": (conv(geometry=((4, 2, 1), (4, 2, 1), (3, 2, 1), (3, 2, 1))), "must give images [14, 7, 3, 1] pixels wide, got [14, 7, 4, 2]"),
            "reflected borders": (conv(more=", padding_mode='reflect'"), "must pad with zeros"),
            "padding everywhere": (conv(geometry=((4, 2, 1), (4, 2, 1), (3, 2, 1), (3, 2))), "must give images [14, 7, 3, 1] pixels wide, got [14, 7, 4, 1]"),
            "another kernel, the right sizes": (conv(geometry=((4, 2, 1), (3, 2, 1), (3, 2), (3, 2))), "convolution 2 of the encoder must have kernel_size (4, 4), got (3, 3)"),
            "return forgotten": ("network = nn.Sequential()", "is the function's `return` forgotten?"),
            "no bias at the end": (conv().replace("nn.Linear(d, n_out)", "nn.Linear(d, n_out, bias=False)"), "got Linear(5, 3, bias=False): a linear layer needs its bias"),
            "channels of one's own": (conv().replace("a, b, c, d = channels", "a, b, c, d = 32, 64, 128, 256"), "the channels after the encoder's convolutions must be [2, 3, 4, 5]"),
            "no Flatten": (conv().replace("nn.Flatten(), ", ""), "need an nn.Flatten()"),
            "a module that flattens B too": (VIEW + conv().replace("nn.Flatten()", "View(-1)"), "View makes (55,) of (11, 5, 1, 1): the first dimension is B"),
        },
        "networks.conv_decoder": {
            "bias before BatchNorm": (back(bias=True), "convolution 1 of the decoder has a bias"),
            "activation after the linear layer": (back(start="nn.LeakyReLU(0.2), "), "in the decoder, ConvTranspose2d must come after Linear(3, 5), got LeakyReLU(0.2)"),
            "sigmoid at the end": (back(last=", nn.Sigmoid()"), "nothing must come after the last layer, got Sigmoid"),
            "ReLU for LeakyReLU": (back(act="nn.ReLU()"), "LeakyReLU(0.2) must come after BatchNorm2d, got ReLU"),
            "padding forgotten": (back(geometry=((3, 2), (3, 2), (4, 2), (4, 2))), "must give images [3, 7, 14, 28] pixels wide, got [3, 7, 16, 34]"),
            "another kernel, the right sizes": (back(geometry=((3, 2), (3, 2), (2, 2), (4, 2, 1))), "convolution 3 of the decoder must have kernel_size (4, 4), got (2, 2)"),
            "no bias at the end": (back().replace("nn.ConvTranspose2d(a, 1, 4, 2, 1)", "nn.ConvTranspose2d(a, 1, 4, 2, 1, bias=False)"), "so it needs its bias"),
            "a module that puts channels last": (VIEW + back().replace("nn.Unflatten(1, (d, 1, 1))", "View(-1, 1, 1, d)"), "in the decoder, ConvTranspose2d cannot take (11, 1, 1, 5)"),
        },
    },
    "The draw": {
        "models.reparametrize": {
            "exp_ in place": ("return mu + logvar.mul_(0.5).exp_() * eps", "argument 2 is another after the call: a function whose name ends in _"),
            "one shape only": (f"assert mu.shape == logvar.shape == eps.shape\nreturn mu + {SIGMA} * eps", "eps may be (5, 4, 3), for five draws of each z"),
            "bounded on both sides": ("return mu + torch.exp(0.5 * logvar.clamp(-10, 10)) * eps", "Most likely logvar is bounded from below, at -10: leave that out"),
            "bounded from below": ("return mu + torch.exp(0.5 * logvar.clamp(-30, 60)) * eps", "Most likely logvar is bounded from below, at -30"),
            "no bound": ("return mu + torch.exp(0.5 * logvar) * eps", "which keeps exp from overflowing"),
            "mu detached": (f"return mu.detach() + {SIGMA} * eps", "no gradient reaches mu"),
            "logvar detached": (f"return mu + {SIGMA}.detach() * eps", "no gradient reaches logvar"),
            "noise of its own": (f"return mu + {SIGMA} * torch.randn_like(mu)", "the eps that is passed is not used"),
            "return forgotten": (f"z = mu + {SIGMA} * eps", "is its `return` forgotten?"),
            "by NumPy": ("import numpy as np\nreturn mu + torch.from_numpy(np.exp(logvar.numpy() / 2)) * eps", "NumPy's functions pass no gradient on. Do not add detach()"),
            "item": ("return mu + 2.718 ** (logvar.item() / 2) * eps", ".item() takes a single number"),
            "one noise for all dimensions": (f"return mu + {SIGMA} * eps[..., :1]", "one noise serves several dimensions"),
            "swapped": ("return logvar + torch.exp(0.5 * mu) * eps", "mu and logvar are swapped"),
            "the root of logvar": ("return mu + logvar.abs().sqrt() * eps", "the root of logvar is taken for σ"),
            "exp left out": ("return mu + 0.5 * logvar * eps", "exp is left out: logvar/2 itself"),
            "log σ": ("return mu + torch.exp(logvar) * eps", "log σ² is read as log σ"),
            "no noise": ("return mu", "there is no noise"),
            "noise not scaled": ("return mu + eps", "the noise is not scaled by σ"),
            "doubles": (f"return (mu + {SIGMA} * eps).double()", "z must have the dtype of mu, torch.float32, got torch.float64"),
            "by a distribution": ("return torch.distributions.Normal(mu, torch.exp(0.5 * logvar)).rsample()", "the eps that is passed is not used"),
            "a small number beside σ": ("return mu + (torch.exp(0.5 * logvar.clamp(max=60)) + 1e-8) * eps", "1e-08 is added to σ: leave that out"),
            "a small number below the root": ("return mu + torch.sqrt(logvar.clamp(max=60).exp() + 1e-8) * eps", "1e-08 is added to exp(logvar): leave that out"),
            "the log of logvar": ("return mu + logvar.log() * eps", "take neither its log nor its root"),
            "softplus": ("return mu + nn.functional.softplus(logvar) * eps", "softplus stands for exp"),
            "exp squared": ("return mu + logvar.exp() ** 2 * eps", "exp(logvar), which is σ², is squared"),
            "noise added": (f"return mu + {SIGMA} + eps", "σ is added to the noise"),
            "noise positive": (f"return mu + {SIGMA} * eps.abs()", "the noise is made positive"),
            "as if uniform": (f"return mu + {SIGMA} * (2 * eps - 1)", "as if it were uniform"),
            "by math": ("import math\nreturn mu + math.exp(0.5 * logvar) * eps", "and so do math's functions"),
            "a comma too many": (f"return mu + {SIGMA} * eps,", "is there a comma at the line's end"),
        },
    },
    "The VAE": {
        "models.VAE.encode": {
            "σ for logvar": ("mu, h = self._encoded(x).chunk(2, 1)\nreturn Posterior(mu, torch.exp(0.5 * h))", "logvar is never negative, whatever the weights"),
            "ReLU of logvar": ("mu, h = self._encoded(x).chunk(2, 1)\nreturn Posterior(mu, torch.relu(h))", "logvar is never negative, whatever the weights"),
            "softplus of logvar": ("mu, h = self._encoded(x).chunk(2, 1)\nreturn Posterior(mu, nn.functional.softplus(h))", "logvar is never negative"),
            "ReLU of mu": ("mu, h = self._encoded(x).chunk(2, 1)\nreturn Posterior(mu.relu(), h)", "mu is never negative"),
            "swapped": ("logvar, mu = self._encoded(x).chunk(2, 1)\nreturn Posterior(mu, logvar)", "they are swapped: the first half is mu"),
            "every other": ("h = self._encoded(x)\nreturn Posterior(h[:, ::2], h[:, 1::2])", "every other number is taken"),
            "bounded": ("mu, h = self._encoded(x).chunk(2, 1)\nreturn Posterior(mu, h.clamp(-10, 10))", "it is bounded where exp is taken"),
            "bounded far off": ("mu, h = self._encoded(x).chunk(2, 1)\nreturn Posterior(mu, h.clamp(-30, 20))", "logvar is bounded to -30 ... 20: it is bounded where exp is taken"),
            "detached": ("mu, h = self._encoded(x).chunk(2, 1)\nreturn Posterior(mu, h.detach())", "no gradient passes through logvar"),
            "one tensor": ("return self._encoded(x)", "encode must give two tensors, mu and logvar, got a tensor"),
            "one half twice": ("mu, _ = self._encoded(x).chunk(2, 1)\nreturn Posterior(mu, mu)", "mu and logvar are the same numbers"),
            "halves of the batch": ("return Posterior(*self._encoded(x).chunk(2))", "mu and logvar must be (B, latent_dim)"),
            "return forgotten": ("mu, logvar = self._encoded(x).chunk(2, 1)", "got a NoneType"),
            "noise in encode": ("mu, h = self._encoded(x).chunk(2, 1)\nreturn Posterior(mu + torch.exp(0.5 * h) * torch.randn_like(mu), h)", "two calls of encode on the same images give different numbers"),
            "layers made in encode": ("h = self._encoded(x)\nreturn Posterior(*[nn.Linear(h.shape[1], self.latent_dim)(h) for _ in range(2)])", "and makes no layers"),
            "the log": ("mu, h = self._encoded(x).chunk(2, 1)\nreturn Posterior(mu, h.log())", "the log is taken of the second half, which is log σ² already"),
            "tanh": ("mu, h = self._encoded(x).chunk(2, 1)\nreturn Posterior(mu, h.tanh())", "a tanh is taken of logvar"),
            "view": ("return Posterior(*self._encoded(x).view(2, -1, self.latent_dim))", "numbers of several images are mixed"),
            "evaluation mode": ("self.eval()\nreturn Posterior(*self._encoded(x).chunk(2, 1))", "must leave the model's mode as it is"),
            "rows of pixels": ("h = self._encoded(x.flatten(1))\nreturn Posterior(*h.chunk(2, 1))", "xpected 3D (unbatched) or 4D (batched) input to conv2d"),
        },
        "models.VAE.forward": {
            "noise in training only": (f"{ENCODED}z = reparametrize(mu, logvar, eps) if self.training else mu\nreturn self.decode(z), mu, logvar", "there is noise in training mode only"),
            "another order": (f"{ENCODED}return mu, logvar, self.decode(reparametrize(mu, logvar, eps))", "forward must return a tuple of three tensors, (logits, mu, logvar), in this order, here"),
            "a dictionary": (f"{ENCODED}return dict(logits=self.decode(reparametrize(mu, logvar, eps)), mu=mu, logvar=logvar)", "got dict"),
            "logits alone": (f"{ENCODED}return self.decode(reparametrize(mu, logvar, eps))", "got Tensor"),
            "return forgotten": (f"{ENCODED}self.decode(reparametrize(mu, logvar, eps)), mu, logvar", "is its `return` forgotten?"),
            "seeded anew": (f"generator = torch.Generator().manual_seed(0)\n{ENCODED}return self.decode(reparametrize(mu, logvar, eps)), mu, logvar", "two passes in training give the same"),
            "the generator seeded anew": (f"generator = generator and generator.manual_seed(0)\n{ENCODED}return self.decode(reparametrize(mu, logvar, eps)), mu, logvar", "the generator is seeded anew in forward"),
            "the generator not used": ("mu, logvar = self.encode(x)\nreturn self.decode(reparametrize(mu, logvar, torch.randn_like(mu))), mu, logvar", "the generator is not used"),
            "one noise for the batch": ("mu, logvar = self.encode(x)\neps = torch.randn(mu[:1].shape, generator=generator, device=mu.device).expand_as(mu)\nreturn self.decode(reparametrize(mu, logvar, eps)), mu, logvar", "one noise serves the whole batch"),
            "one noise for all dimensions": ("mu, logvar = self.encode(x)\neps = torch.randn(mu[:, :1].shape, generator=generator, device=mu.device).expand_as(mu)\nreturn self.decode(reparametrize(mu, logvar, eps)), mu, logvar", "one noise serves several dimensions"),
            "uniform noise": (f"{ENCODED.replace('randn', 'rand')}return self.decode(reparametrize(mu, logvar, eps)), mu, logvar", "z must be drawn from N(mu, exp(logvar))"),
            "images": (f"{ENCODED}return self.decode(reparametrize(mu, logvar, eps)).sigmoid(), mu, logvar", "forward returns images"),
            "mu detached": (f"{ENCODED}return self.decode(reparametrize(mu, logvar, eps)), mu.detach(), logvar", "forward returns mu detached"),
            "no noise": ("mu, logvar = self.encode(x)\nreturn self.decode(mu), mu, logvar", "there is no noise, z = mu is used in training"),
            "z detached": (f"{ENCODED}return self.decode(reparametrize(mu, logvar, eps).detach()), mu, logvar", "no gradient reaches the encoder"),
            "logvar detached in the draw": (f"{ENCODED}return self.decode(reparametrize(mu, logvar.detach(), eps)), mu, logvar", "none passes through logvar"),
            "swapped": (f"{ENCODED}return self.decode(reparametrize(logvar, mu, eps)), mu, logvar", "mu and logvar are swapped: the draw takes mu, then logvar"),
            "noise on the CPU": ("mu, logvar = self.encode(x)\neps = torch.randn(mu.shape, generator=generator)\nreturn self.decode(reparametrize(mu, logvar, eps)), mu, logvar", "make it where mu is, with device=mu.device"),
            "noise on the CPU, by normal": ("mu, logvar = self.encode(x)\neps = torch.normal(0.0, 1.0, size=mu.shape, generator=generator)\nreturn self.decode(reparametrize(mu, logvar, eps)), mu, logvar", "make it where mu is, with device=mu.device"),
            "σ handed on for logvar": (f"{ENCODED}return self.decode(reparametrize(mu, (0.5 * logvar).exp(), eps)), mu, logvar", "σ is taken for logvar: exp is taken twice"),
            "noise twice": (f"{ENCODED}return self.decode(reparametrize(mu, logvar, eps) + eps), mu, logvar", "the noise is added once more"),
            "σ² for σ, in a draw of its own": (f"{ENCODED}return self.decode(mu + logvar.exp() * eps), mu, logvar", "log σ² is read as log σ, so that σ² stands where σ belongs"),
            "exp left out, in a draw of its own": (f"{ENCODED}return self.decode(mu + logvar * eps), mu, logvar", "exp is left out: logvar itself is taken for σ"),
            "exp left out, half": (f"{ENCODED}return self.decode(mu + 0.5 * logvar * eps), mu, logvar", "exp is left out: logvar/2 itself"),
            "logvar doubled": (f"{ENCODED}return self.decode(reparametrize(mu, 2 * logvar, eps)), mu, logvar", "σ² stands where σ belongs"),
            "logvar halved twice": (f"{ENCODED}return self.decode(reparametrize(mu, 0.5 * logvar, eps)), mu, logvar", "logvar is halved twice"),
            "σ² handed on for logvar": (f"{ENCODED}return self.decode(reparametrize(mu, logvar.exp(), eps)), mu, logvar", "σ² is taken for logvar"),
            "noise not scaled": (f"{ENCODED}return self.decode(mu + eps), mu, logvar", "the noise is not scaled by σ"),
            "little noise": (f"{ENCODED}return self.decode(reparametrize(mu, logvar, 0.1 * eps)), mu, logvar", "the noise is scaled: eps must come from N(0, I)"),
            "sigmoid of z": (f"{ENCODED}return self.decode(reparametrize(mu, logvar, eps).sigmoid()), mu, logvar", "a sigmoid is taken of z"),
            "z for mu": (f"{ENCODED}z = reparametrize(mu, logvar, eps)\nreturn self.decode(z), z, logvar", "here mu differs"),
            "σ for logvar": (f"{ENCODED}return self.decode(reparametrize(mu, logvar, eps)), mu, torch.exp(0.5 * logvar)", "here logvar differs"),
            "logits detached": (f"{ENCODED}return self.decode(reparametrize(mu, logvar, eps)).detach(), mu, logvar", "forward returns logits detached"),
            "a method that is none": (f"{ENCODED}return self.decode(self.reparametrize(mu, logvar, eps)), mu, logvar", "is called by its name alone, without self"),
            "eps forgotten": ("mu, logvar = self.encode(x)\nreturn self.decode(reparametrize(mu, logvar)), mu, logvar", "reparametrize() missing 1 required positional argument: 'eps'"),
            "evaluation mode": (f"self.eval()\n{ENCODED}return self.decode(reparametrize(mu, logvar, eps)), mu, logvar", "must leave the model's mode as it is"),
        },
    },
    "The reconstruction term": {
        "losses.reconstruction_loss": {
            "mean over pixels": ("return F.mse_loss(logits.sigmoid(), x, reduction='none').flatten(1).mean(1)", "the pixels are reduced by mean instead of sum"),
            "one number": ("return F.mse_loss(logits.sigmoid(), x, reduction='sum') / len(x)", "must have shape (6,), got ()"),
            "logits as pixels": (f"return (logits - x).square(){SUM}", "logits are passed as pixels"),
            "sigmoid twice": (f"return (logits.sigmoid().sigmoid() - x).square(){SUM}", "the sigmoid is applied twice"),
            "the root": (f"return (logits.sigmoid() - x).square(){SUM}.sqrt()", "the root of the sum is taken"),
            "absolute": (f"return (logits.sigmoid() - x).abs(){SUM}", "the differences are not squared"),
            "half": (f"return 0.5 * (logits.sigmoid() - x).square(){SUM}", "there is a factor ½"),
            "likelihood ignored": (f"return (logits.sigmoid() - x).square(){SUM}", "it is the squared error: look at what is done with likelihood=\"bernoulli\""),
            "cross-entropy always": (f"return {CROSS_ENTROPY}{SUM}", "it is the cross-entropy: look at what is done with likelihood=\"gaussian\""),
            "log of the sigmoid": (f"{PROBABILITY}return -(x * p.log() + (1 - x) * (1 - p).log()){SUM}", "it is computed from the sigmoid, which is exactly 0 or 1 there"),
            "with a small number": (f"{PROBABILITY}return -(x * (p + 1e-8).log() + (1 - x) * (1 - p + 1e-8).log()){SUM}", "it is computed from the sigmoid"),
            "cross-entropy of the sigmoid": (f"{PROBABILITY}return F.binary_cross_entropy(p, x, reduction='none'){SUM}", "it is computed from the sigmoid"),
            "sigmoid before logits": (f"{PROBABILITY}return F.binary_cross_entropy_with_logits(p, x, reduction='none'){SUM}", "the sigmoid is applied twice"),
            "one half of it": (f"{PROBABILITY}return -(x * F.logsigmoid(logits)){SUM}", "only one half of the cross-entropy is there"),
            "in bits": (f"{PROBABILITY}return {CROSS_ENTROPY}{SUM} / math.log(2)", "it is in bits"),
            "item": ("return (logits.sigmoid() - x).square().sum().item()", "leave .item() and float() out"),
            "detached": (f"return (logits.detach().sigmoid() - x).square(){SUM}", "no gradient reaches logits: the reconstruction term must be computed from it"),
            "return forgotten": (f"error = (logits.sigmoid() - x).square(){SUM}", "is its `return` forgotten?"),
            "in place": (f"return (logits.sigmoid_() - x).square(){SUM}", "unction whose name ends in _ (exp_, mul_, clamp_)"),
            "over the batch": ("return (logits.sigmoid() - x).square().sum(0)", "must have shape (6,), got (1, 28, 28)"),
            "logits bounded": (f"{PROBABILITY}return {CROSS_ENTROPY.replace('(logits', '(logits.clamp(-10, 10)')}{SUM}", "the logits are bounded to ±10"),
            "probabilities bounded": (f"{PROBABILITY}p = p.clamp(1e-6, 1 - 1e-6)\nreturn -(x * p.log() + (1 - x) * (1 - p).log()){SUM}", "it is computed from the sigmoid"),
            "exp of the logits": (f"{PROBABILITY}return ((1 + logits.exp()).log() - x * logits){SUM}", "exp(logits) overflows from 89 on"),
            "swapped": (f"{PROBABILITY}return F.binary_cross_entropy_with_logits(x, logits, reduction='none'){SUM}", "logits and x are swapped"),
            "the image swapped": (f"{PROBABILITY}return F.binary_cross_entropy(x, p, reduction='none'){SUM}", "the image and x are swapped"),
            "for classes": (f"{PROBABILITY}return F.cross_entropy(logits, x, reduction='none'){SUM}", "F.cross_entropy is for classes"),
            "the second sign": (f"{PROBABILITY}return -(x * F.logsigmoid(logits) - (1 - x) * F.logsigmoid(-logits)){SUM}", "the second half of the cross-entropy has the wrong sign"),
            "1 - log p": (f"{PROBABILITY}return -(x * F.logsigmoid(logits) + (1 - x) * (1 - F.logsigmoid(logits))){SUM}", "1 - log p stands for log(1 - p)"),
            "x rounded": (f"{PROBABILITY}return F.binary_cross_entropy_with_logits(logits, (x > 0.5).float(), reduction='none'){SUM}", "x is rounded"),
            "sigmoid of x": (f"return (logits.sigmoid() - x.sigmoid()).square(){SUM}", "the sigmoid is taken of x too"),
            "logits cut off": (f"return (logits.clamp(0, 1) - x).square(){SUM}", "logits are cut off at 0 and 1"),
            "softmax": ("return (logits.flatten(1).softmax(1) - x.flatten(1)).square().sum(1)", "softmax stands for the sigmoid"),
            "bytes": (f"return (255 * logits.sigmoid() - 255 * x).square(){SUM}", "pixels are multiplied by 255"),
            "images mixed": ("return (logits.sigmoid() - x).square().view(784, -1).sum(0)", "The number of one image depends on the others"),
            "another name": ("if likelihood == 'mse':\n    return (logits.sigmoid() - x).square().flatten(1).sum(1)", "Or is no branch taken that has one?"),
        },
    },
    "The KL": {
        "losses.kl_per_dimension": {
            "mu detached": (KL.replace("mu**2", "mu.detach()**2"), "no gradient reaches mu"),
            "logvar detached": (KL.replace("- logvar)", "- logvar.detach())"), "the value is right, and its gradient to logvar is"),
            "no bound": ("return 0.5 * (mu**2 + logvar.exp() - 1 - logvar)", "exp overflows from 89 on"),
            "bounded on both sides": (KL.replace("max=60", "-10, 10"), "Most likely logvar is bounded from below, at -10: leave that out"),
            "bounded from below": (KL.replace("max=60", "-30, 60"), "Most likely logvar is bounded from below, at -30"),
            "a small number in the log": (KL.replace("- logvar)", "- (logvar.exp() + 1e-8).log())"), "Most likely 1e-08 is added to exp(logvar): leave that out"),
            "σ for σ²": (KL.replace("logvar.exp()", "(logvar / 2).exp()"), "σ stands where σ² belongs"),
            "the sign": (KL.replace("0.5 * (", "-0.5 * ("), "the sign is wrong: a KL is never negative"),
            "the direction": ("return 0.5 * ((1 + mu**2) / logvar.exp() - 1 + logvar)", "the direction is wrong"),
            "½ forgotten": (KL.replace("0.5 * ", ""), "the factor ½ is left out"),
            "-1 forgotten": (KL.replace(" - 1", ""), "the -1 of each dimension is left out"),
            "mu not squared": (KL.replace("mu**2", "mu"), "mu is not squared"),
            "mu forgotten": (KL.replace("mu**2", "0 * mu"), "mu² is left out"),
            "logvar forgotten": (KL.replace(" - logvar)", " + 0 * logvar)"), "logvar itself is left out"),
            "swapped": (KL.replace("mu", "MU").replace("logvar", "mu").replace("MU", "logvar"), "mu and logvar are swapped"),
            "logvar read as σ": ("return 0.5 * (mu**2 + logvar**2 - 1 - (logvar**2).log())", "logvar is taken for σ: it is log σ²"),
            "in bits": (KL.replace("0.5 * ", "0.5 / math.log(2) * "), "it is in bits"),
            "summed already": (KL + ".sum(1)", "must have shape (6, 5), got (6,)"),
            "return forgotten": (KL.replace("return ", "kl = "), "is its `return` forgotten?"),
            "in place": ("return 0.5 * (mu**2 + logvar.exp_() - 1 - logvar)", "unction whose name ends in _ (exp_, mul_, clamp_)"),
            "by NumPy": ("import numpy as np\nreturn 0.5 * (mu**2 + torch.from_numpy(np.exp(logvar.numpy())) - 1 - logvar)", "Do not add detach()"),
            "bounded at ±60": (KL.replace("max=60", "-60, 60"), "Most likely logvar is bounded from below, at -60: leave that out"),
            "a tiny number in the log": (KL.replace("- logvar)", "- (logvar.exp() + 1e-20).log())"), "Most likely 1e-20 is added to exp(logvar): leave that out"),
            "a small number beside σ": ("s = torch.exp(0.5 * logvar.clamp(max=60))\nreturn 0.5 * (mu**2 + s**2 - 1 - 2 * (s + 1e-8).log())", "Most likely 1e-08 is added to σ: leave that out"),
            "exp bounded from below": (KL.replace("- logvar)", "- logvar.exp().clamp(min=1e-8).log())"), "logvar is bounded from below, at -18.4, or exp(logvar), at 1e-08"),
            "log taken twice": (KL.replace("- logvar)", "- logvar.log())"), "the log of logvar is taken, which is a log already"),
            "log taken twice, of its size": (KL.replace("- logvar)", "- logvar.abs().log())"), "the log of logvar is taken, which is a log already"),
            "log of logvar, no exp": ("return 0.5 * (mu**2 + logvar - 1 - logvar.log())", "logvar is taken for σ²: exp is left out"),
            "brackets": ("return -0.5 * 1 + logvar - mu**2 - logvar.exp()", "brackets are missing"),
            "+1": (KL.replace("- 1", "+ 1"), "the sign of the 1 is wrong"),
            "exp squared": (KL.replace("logvar.exp()", "logvar.exp() ** 2"), "exp(logvar) is squared"),
            "cross-entropy": (KL.replace(" - 1 - logvar", ""), "-1 and logvar are left out"),
            "β inside": (KL.replace("0.5", "0.001 * 0.5"), "All of it is 0.001 times what it must be"),
            "by draws": ("z = mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)\nreturn 0.5 * (z**2 - (z - mu) ** 2 / logvar.exp() - logvar)", "the KL is another in each call"),
            "a Normal of logvar": ("q = torch.distributions.Normal(mu, logvar)\nreturn torch.distributions.kl_divergence(q, torch.distributions.Normal(0.0, 1.0))", "The scale of a Normal is σ"),
        },
        "losses.kl_normal": {
            "mean over dimensions": ("return kl_per_dimension(mu, logvar).mean(1)", "the latent dimensions are reduced by mean instead of sum"),
            "sum over the batch": ("return kl_per_dimension(mu, logvar).sum(0)", "must have shape (6,), got (5,)"),
            "one number": ("return kl_per_dimension(mu, logvar).sum(1).mean()", "must have shape (6,), got ()"),
            "item": ("return kl_per_dimension(mu, logvar).sum().item()", "leave .item() and float() out"),
            "averaged twice": ("return kl_per_dimension(mu, logvar).sum(1) / len(mu)", "the batch is averaged twice"),
            "no gradient": ("with torch.no_grad():\n    return kl_per_dimension(mu, logvar).sum(1)", "no gradient passes through the KL"),
            "log taken twice": ("return 0.5 * (mu**2 + logvar.exp() - 1 - logvar.log()).sum(1)", "the log of logvar is taken, which is a log already"),
            "½ again": ("return 0.5 * kl_per_dimension(mu, logvar).sum(1)", "the factor ½ is there twice"),
            "-1 once": (KL.split("return")[0] + "return 0.5 * ((mu**2).sum(1) + logvar.exp().sum(1) - 1 - logvar.sum(1))", "the 1 is subtracted once, and not for each dimension"),
        },
    },
    "The training step": {
        "training.training_step": {
            "not zeroed": (STEP.replace("optimizer.zero_grad()\n", "") + DETACHED, "the gradient is not zeroed"),
            "zeroed too late": (STEP.replace("optimizer.zero_grad()\nloss.backward()", "loss.backward()\noptimizer.zero_grad()") + DETACHED, "no gradient arrives at the optimiser"),
            "step before backward": ("recon, kl, loss = loss_terms(model, x, config, generator)\noptimizer.step()\noptimizer.zero_grad()\nloss.backward()\n" + DETACHED, "the first step comes before any gradient"),
            "no step": (STEP.replace("optimizer.step()\n", "") + DETACHED, "four calls took 0 steps"),
            "two steps": (STEP + "optimizer.step()\n" + DETACHED, "four calls took 8 steps"),
            "no backward": (STEP.replace("loss.backward()\n", "") + DETACHED, "no gradient arrives at the optimiser"),
            "undetached": (STEP + "return recon, kl, loss", "what it returns carries its graph"),
            "numbers": (STEP + "return recon.item(), kl.item(), loss.item()", "neither .item() nor numbers per image"),
            "another order": (STEP + "return loss.detach(), recon.detach(), kl.detach()", "they are in another order"),
            "the loss alone": (STEP + "return loss.detach()", "it must return (recon, kl, loss), three tensors of one number each, got Tensor"),
            "a dictionary": (STEP + "return dict(recon=recon, kl=kl, loss=loss)", "got dict"),
            "return forgotten": (STEP + DETACHED.replace("return ", "terms = "), "is its `return` forgotten?"),
            "no generator": (STEP.replace(", generator)", ")") + DETACHED, "the generator is not passed on"),
            "after the step": (STEP + "recon, kl, loss = loss_terms(model, x, config, generator.manual_seed(5))\n" + DETACHED, "they are those of after the step"),
            "the error alone": (STEP.replace("loss.backward()", "recon.backward()") + DETACHED, "the gradient is not that of the loss"),
            "the other way": (STEP.replace("loss.backward()", "(-loss).backward()") + DETACHED, "the step climbs"),
            "clipped": (STEP.replace("optimizer.step()", "nn.utils.clip_grad_norm_(model.parameters(), 1e-3)\noptimizer.step()") + DETACHED, "it is scaled or clipped on the way"),
            "a config of its own": (STEP.replace("x, config, ", "x, TrainConfig(), ") + DETACHED, "with the config and the generator that are passed in"),
            "another β": (STEP.replace("x, config, ", "x, replace(config, beta=0.001), ") + DETACHED, "with the config and the generator that are passed in"),
            "without gradients": ("with torch.no_grad():\n    recon, kl, loss = loss_terms(model, x, config, generator)\noptimizer.zero_grad()\nloss.backward()\noptimizer.step()\n" + DETACHED, "no detach(), item() or no_grad() before it"),
            "mode changed": ("model.eval()\n" + STEP + DETACHED, "a step must leave the model's mode"),
            "training mode": ("model.train()\n" + STEP + DETACHED, "a step must leave the model's mode"),
            "a gradient to the images": ("x.requires_grad_()\n" + STEP + DETACHED, "x.requires_grad_()"),
            "a generator of its own": (STEP.replace("generator)", "torch.Generator().manual_seed(config.seed))") + DETACHED, "hand it to loss_terms, and make no other one"),
            "β forgotten": (STEP.replace("loss.backward()", "(recon + kl).backward()") + DETACHED, "but that of recon + kl, without β"),
            "backward twice": (STEP.replace("loss.backward()", "loss.backward(retain_graph=True)\nloss.backward()") + DETACHED, "or backward() is called more than once"),
            "detached and tracked anew": (STEP.replace("loss.backward()", "loss.detach().requires_grad_().backward()") + DETACHED, "of the loss as it comes, without detach()"),
            "an optimiser of its own": (STEP.replace("optimizer.zero_grad()", "optimizer = torch.optim.Adam(model.parameters())\noptimizer.zero_grad()") + DETACHED, "of the optimizer that is passed in"),
            "weights moved by hand": (STEP + "with torch.no_grad():\n    for p in model.parameters():\n        p -= config.lr * p.grad\n" + DETACHED, "the weights are changed by hand"),
            "terms of its own": ("logits, mu, logvar = model(x, generator)\nloss = (logits.sigmoid() - x).square().sum()\n" + STEP + DETACHED, "NotImplementedError: Module [_Terms] is missing the required \"forward\" function"),
        },
    },
    "Samples": {
        "latent.sample_prior": {
            "logits": ("model.eval()\nwith torch.no_grad():\n    return model.decode(torch.randn(n, model.latent_dim, generator=generator))", "logits are passed as pixels"),
            "two sigmoids": ("return decode(model, torch.randn(n, model.latent_dim, generator=generator)).sigmoid()", "the sigmoid is applied twice"),
            "uniform": ("return decode(model, torch.rand(n, model.latent_dim, generator=generator))", "use randn"),
            "a size of its own": ("return decode(model, torch.randn(n, 32, generator=generator))", "z must be (N, 4) for this model, got (4000, 32): the size is the model's own latent_dim"),
            "seeded inside": ("torch.manual_seed(0)\nreturn decode(model, torch.randn(n, model.latent_dim))", "a seed is set inside"),
            "generator seeded inside": ("return decode(model, torch.randn(n, model.latent_dim, generator=generator.manual_seed(0)))", "a seed is set inside"),
            "generator not used": ("return decode(model, torch.randn(n, model.latent_dim))", "the generator is not used"),
            "training mode": ("with torch.no_grad():\n    return model.train().decode(torch.randn(n, model.latent_dim, generator=generator)).sigmoid()", "BatchNorm is in training mode while sampling"),
            "with a graph": ("model.eval()\nreturn model.decode(torch.randn(n, model.latent_dim, generator=generator)).sigmoid()", "decode them within torch.no_grad()"),
            "by NumPy": ("import numpy as np\nmodel.eval()\nreturn model.decode(torch.from_numpy(np.random.randn(n, model.latent_dim))).sigmoid()", "z must be float32, got torch.float64"),
            "squeezed": ("return decode(model, torch.randn(n, model.latent_dim, generator=generator)).squeeze()", "images must be (4000, 1, 28, 28), one for each z, got (4000, 28, 28)"),
            "one number for all dimensions": ("return decode(model, torch.randn(n, 1, generator=generator).expand(n, model.latent_dim).clone())", "the dimensions of z depend on each other"),
            "scaled": ("return decode(model, 2 * torch.randn(n, model.latent_dim, generator=generator))", "its standard deviation 2"),
            "n forgotten": ("return decode(model, torch.randn(16, model.latent_dim, generator=generator))", "4000 draws of z, (4000, 4), must be decoded, got (16, 4)"),
            "return forgotten": ("images = decode(model, torch.randn(n, model.latent_dim, generator=generator))", "is its `return` forgotten?"),
            "rounded": ("return decode(model, torch.randn(n, model.latent_dim, generator=generator)).round()", "the pixels are rounded"),
            "standardised": ("z = torch.randn(n, model.latent_dim, generator=generator)\nreturn decode(model, (z - z.mean(0)) / z.std(0))", "the mean of all z is exactly 0"),
            "logits cut off": ("model.eval()\nwith torch.no_grad():\n    return model.decode(torch.randn(n, model.latent_dim, generator=generator)).clamp(0, 1)", "logits are cut off at 0 and 1"),
            "past decode": ("model.eval()\nwith torch.no_grad():\n    return model.decoder(torch.randn(n, model.latent_dim, generator=generator)).sigmoid()", "of a model only encode, decode, code".capitalize()),
        },
    },
    "Interpolation": {
        "latent.lerp": {
            "for codes only": ("t = t.unsqueeze(1)\nreturn (1 - t) * a + t * b", "a and b may have any one shape|expected|must be"),
            "swapped": ("t = t.view(-1, *[1] * a.ndim)\nreturn t * a + (1 - t) * b", "a and b are swapped: t = 0 is a"),
            "a not weighed": ("t = t.view(-1, *[1] * a.ndim)\nreturn a + t * b", "t b is added to the whole of a"),
            "bounded": ("t = t.view(-1, *[1] * a.ndim).clamp(0, 1)\nreturn (1 - t) * a + t * b", "t is bounded by 1"),
            "the wrong way": ("t = t.view(-1, *[1] * a.ndim)\nreturn a + t * (a - b)", "a - b stands for b - a"),
            "a forgotten": ("t = t.view(-1, *[1] * a.ndim)\nreturn t * (b - a)", "a is left out"),
            "squared": ("t = t.view(-1, *[1] * a.ndim) ** 2\nreturn (1 - t) * a + t * b", "t is squared"),
            "return forgotten": ("t = t.view(-1, *[1] * a.ndim)", "is its `return` forgotten?"),
        },
        "latent.path_positions": {
            "without the end": ("return torch.arange(steps) / steps", "the walk misses its end"),
            "without the start": ("return torch.arange(1, steps + 1) / steps", "the walk misses its start"),
            "by NumPy": ("import numpy as np\nreturn torch.from_numpy(np.linspace(0, 1, steps))", "positions must be float32, got torch.float64"),
            "an array": ("import numpy as np\nreturn np.linspace(0, 1, steps)", "it gives a NumPy array"),
            "a list": ("return [i / (steps - 1) for i in range(steps)]", "it gives a list"),
            "one more": ("return torch.linspace(0, 1, steps + 1)", "5 positions must have shape (5,), got (6,)"),
            "uneven": ("return torch.linspace(0, 1, steps) ** 2", "the steps are not even"),
            "backwards": ("return torch.linspace(1, 0, steps)", "the walk goes from the second image to the first"),
            "whole-number division": ("return torch.arange(steps) // (steps - 1)", "got whole numbers, torch.int64: // and int() cut the fraction off"),
            "whole-number division, as floats": ("return (torch.arange(steps) // (steps - 1)).float()", "must be 0.00, 0.25, 0.50, 0.75, 1.00, got 0.00, 0.00, 0.00, 0.00, 1.00: the fraction is cut off"),
            "whole-number division by steps": ("return (torch.arange(steps) // steps).float()", "all are 0: if they are made by //"),
            "not divided": ("return torch.arange(steps).float()", "they are not divided"),
            "without both": ("return torch.linspace(0, 1, steps + 2)[1:-1]", "the walk misses its start and its end"),
        },
        "latent.walk": {
            "slerp ignored": ("z = lerp(codes(model, x_a), codes(model, x_b), t)\nreturn decode(model, z.flatten(0, 1)).unflatten(0, z.shape[:2])", 'with method="slerp" the walk is the straight line, that of lerp, and must be the arc'),
            "pairs before steps": ("z = lerp(codes(model, x_a), codes(model, x_b), t).transpose(0, 1)\nreturn decode(model, z.flatten(0, 1)).unflatten(0, z.shape[:2])", "must be (5, 3, 1, 28, 28), got (3, 5, 1, 28, 28)"),
            "not flattened": ("return decode(model, lerp(codes(model, x_a), codes(model, x_b), t))", "z must be (N, 4) for this model, got (5, 3, 4)"),
            "not unflattened": ("z = lerp(codes(model, x_a), codes(model, x_b), t)\nreturn decode(model, z.flatten(0, 1))", "must be (5, 3, 1, 28, 28), got (15, 1, 28, 28)"),
            "encode for codes": ("z = lerp(model.encode(x_a)[0], model.encode(x_b)[0], t)\nreturn decode(model, z.flatten(0, 1)).unflatten(0, z.shape[:2])", "encode of an autoencoder gives z, of a VAE (mu, logvar), so that its [0] is not the same"),
            "of pixels": ("images = lerp(x_a, x_b, t)\nreturn decode(model, codes(model, images.flatten(0, 1))).unflatten(0, images.shape[:2])", "it is the codes that are interpolated"),
            "x_a twice": (WALK.replace("x_b", "x_a"), "all images are the first one: x_a is used at both ends, so use x_b at the second"),
            "ends swapped": (WALK.replace("x_a", "x").replace("x_b", "x_a").replace("codes(model, x)", "codes(model, x_b)"), "the walk goes from the second image to the first: t = 0 must be x_a"),
            "slerp always": (WALK.replace("lerp if method == 'linear' else slerp", "slerp"), "the walk is the arc, that of slerp, and must be the straight line"),
            "slerp swapped": (WALK.replace("else slerp", "else lambda a, b, t: slerp(b, a, t)"), 'with method="slerp" the walk goes from the second image to the first'),
            "t of its own": (WALK.replace(", t)", ", path_positions(len(t)))"), "the positions t are not used as they are passed: evenly spaced ones are"),
            "t sorted": (WALK.replace(", t)", ", t.sort().values)"), "the positions t are not used as they are passed: sorted ones are"),
            "t bounded": (WALK.replace(", t)", ", t.clamp(0, 1))"), "the positions t are bounded by 1"),
            "steps and pairs mixed": (WALK.replace("z.flatten(0, 1)", "z.transpose(0, 1).flatten(0, 1)"), "the images are right, and in another order"),
            "with noise": (WALK.replace("codes(model, x_a)", "codes(model, x_a) + torch.randn(1)"), "the points that are decoded are not on the straight line"),
        },
        "latent.interpolate": {
            "codes without [0]": (ENDS.replace("codes(model, torch.stack([x_a, x_b]))", "codes(model, x_a[None]), codes(model, x_b[None])") + "return decode(model, lerp(a, b, t))", "codes(model, x) has a row for each image, so of one image take its [0]"),
            "encode for codes": ("a, b = model.encode(torch.stack([x_a, x_b]))[0]\nreturn decode(model, lerp(a, b, path_positions(steps)))", "with an autoencoder, whose encode gives z alone: ValueError: too many values to unpack"),
            "codes of one image": ("a, b = codes(model, x_a), codes(model, x_b)\nreturn decode(model, lerp(a, b, path_positions(steps)))", "add the channel with .unsqueeze(1), or a batch with .unsqueeze(0)"),
            "reconstructions cross-faded": ("a, b = reconstruct(model, torch.stack([x_a, x_b]))\nreturn lerp(a, b, path_positions(steps))", "the two reconstructions are cross-faded"),
            "pixels": ("return reconstruct(model, lerp(x_a, x_b, path_positions(steps)))", "it is the codes that are interpolated"),
            "pixels alone": ("return lerp(x_a, x_b, path_positions(steps))", "nothing is decoded"),
            "x_a twice": ("return walk(model, _one(x_a), _one(x_a), path_positions(steps), method)[:, 0]", "all images are the first one: x_a is used at both ends, so use x_b at the second"),
            "x_b twice": ("return walk(model, _one(x_b), _one(x_b), path_positions(steps), method)[:, 0]", "all images are the second one: x_b is used at both ends"),
            "ends swapped": ("return walk(model, _one(x_b), _one(x_a), path_positions(steps), method)[:, 0]", "the walk goes from the second image to the first: t = 0 must be x_a"),
            "a not weighed": (ENDS + "return decode(model, a + t[:, None] * b)", "t b is added to the whole of a"),
            "the images at the ends": (ENDS + "images = decode(model, lerp(a, b, t))\nreturn torch.cat([x_a[None], images[1:-1], x_b[None]])", "its ends are the two images themselves"),
            "the middle alone": (ENDS + "return decode(model, ((a + b) / 2).expand(steps, -1))", "got 0.50, 0.50, 0.50, 0.50, 0.50: all are the same"),
            "t squared": (ENDS + "return decode(model, lerp(a, b, t**2))", "must be 0.00, 0.25, 0.50, 0.75, 1.00, got 0.00, 0.06, 0.25, 0.56, 1.00: the steps are not even"),
            "images between the ends only": (ENDS + "return decode(model, lerp(a, b, t[1:-1]))", "5 images were asked for, got 3"),
            "t of its own, without the end": (ENDS + "return decode(model, lerp(a, b, torch.arange(steps) / steps))", "the walk misses its end: i / steps stops short of 1"),
            "slerp ignored": ("return walk(model, _one(x_a), _one(x_b), path_positions(steps))[:, 0]", 'with method="slerp" the walk is the straight line, that of lerp, and must be the arc'),
            "steps ignored": ("return walk(model, _one(x_a), _one(x_b), path_positions(7), method)[:, 0]", "5 images were asked for, got 7"),
            "a dimension too many": ("return walk(model, _one(x_a), _one(x_b), path_positions(steps), method)", "images must be (5, 1, 28, 28), one for each z, got (5, 1, 1, 28, 28)"),
            "logits": (ENDS + "model.eval()\nwith torch.no_grad():\n    return model.decode(lerp(a, b, t))", "logits are passed as pixels"),
            "with noise": ("model.eval()\nz = codes(model, torch.stack([x_a, x_b]))\na, b = z + torch.randn(z.shape)\nreturn decode(model, lerp(a, b, path_positions(steps)))", "without noise and not the pixels"),
            "float64": (ENDS + "import numpy as np\nmodel.eval()\nreturn model.decode(lerp(a, b, torch.from_numpy(np.linspace(0, 1, steps)))).sigmoid()", "z must be float32, got torch.float64"),
            "return forgotten": ("images = walk(model, _one(x_a), _one(x_b), path_positions(steps), method)[:, 0]", "is its `return` forgotten?"),
        },
    },
}  # fmt: skip
CASES = {
    f"{function}: {name}": (task, function, *case)
    for task, functions in MISTAKES.items()
    for function, cases in functions.items()
    for name, case in cases.items()
}


@contextlib.contextmanager
def submission(function, body):
    """hw2 with another function, where it stands and under the names by which hw2 exports it."""
    module, _, path = function.partition(".")
    module = getattr(hw2, module)
    name = path.rpartition(".")[2]
    source = f"def {name}({ARGUMENTS[function]}):\n{textwrap.indent(body, '    ')}\n"
    found = {}
    exec(compile(source, f"{module.__name__.rpartition('.')[2]}.py", "exec"), vars(module), found)
    owner = module.VAE if path.startswith("VAE.") else module
    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(owner, name, found[name]))
        if owner is module and hasattr(hw2, name):
            stack.enter_context(mock.patch.object(hw2, name, found[name]))
        yield hw2
