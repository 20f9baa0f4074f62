"""Mistakes that students make in the functions that they write, as the bodies that they would write, and what is said.

{task: {function: {mistake: (body, words of the sentence)}}}. `submission` puts one into hw2.
"""
# ruff: noqa: E501

import contextlib
import textwrap
from unittest import mock

import hw2

ARGUMENTS = {
    "models.mlp_encoder": "n_out, hidden",
    "models.mlp_decoder": "latent_dim, hidden",
    "models.conv_encoder": "n_out, channels",
    "models.conv_decoder": "latent_dim, channels",
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
        "models.mlp_encoder": {
            "return forgotten": ("network = nn.Sequential(nn.Flatten())", "the encoder is None: is the function's `return` forgotten?"),
            "no Flatten": (mlp(start=""), "need an nn.Flatten(), which keeps B, before the first linear layer"),
            "ReLU after the last layer": (mlp(end=", nn.ReLU()"), "no codes are negative: there is a ReLU after the last layer"),
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
        },
        "models.mlp_decoder": {
            "sigmoid at the end": (painter("nn.Sigmoid(), nn.Unflatten(1, SHAPE)"), "decode ends in a sigmoid"),
            "tanh at the end": (painter("nn.Tanh(), nn.Unflatten(1, SHAPE)"), "decode ends in a tanh"),
            "ReLU at the end": (painter("nn.ReLU(), nn.Unflatten(1, SHAPE)"), "no logits are negative"),
            "no Unflatten": (painter("nn.Identity()"), "decode must give (B, 1, 28, 28), got (64, 784)"),
            "sizes not reversed": (painter(sizes="(latent_dim, *hidden)"), "Linear(3, 10) must come first, got Linear(3, 30)"),
            "no activation": (painter(act="nn.Identity()"), "the decoder is linear"),
            "three dimensions": (painter("nn.Unflatten(1, (28, 28))"), "decode must give (B, 1, 28, 28), got (64, 28, 28)"),
        },
    },
    "Encoder and decoder, convolutional": {
        "models.conv_encoder": {
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
            "channels of one's own": (conv().replace("a, b, c, d = channels", "a, b, c, d = 32, 64, 128, 256"), "the channels after the encoder's convolutions must be [2, 3, 4, 5]"),
            "no Flatten": (conv().replace("nn.Flatten(), ", ""), "need an nn.Flatten()"),
        },
        "models.conv_decoder": {
            "bias before BatchNorm": (back(bias=True), "convolution 1 of the decoder has a bias"),
            "activation after the linear layer": (back(start="nn.LeakyReLU(0.2), "), "in the decoder, ConvTranspose2d must come after Linear(3, 5), got LeakyReLU(0.2)"),
            "sigmoid at the end": (back(last=", nn.Sigmoid()"), "nothing must come after the last layer, got Sigmoid"),
            "ReLU for LeakyReLU": (back(act="nn.ReLU()"), "LeakyReLU(0.2) must come after BatchNorm2d, got ReLU"),
            "padding forgotten": (back(geometry=((3, 2), (3, 2), (4, 2), (4, 2))), "must give images [3, 7, 14, 28] pixels wide, got [3, 7, 16, 34]"),
            "another kernel, the right sizes": (back(geometry=((3, 2), (3, 2), (2, 2), (4, 2, 1))), "convolution 3 of the decoder must have kernel_size (4, 4), got (2, 2)"),
            "no bias at the end": (back().replace("nn.ConvTranspose2d(a, 1, 4, 2, 1)", "nn.ConvTranspose2d(a, 1, 4, 2, 1, bias=False)"), "so it needs its bias"),
        },
    },
    "The draw": {
        "models.reparametrize": {
            "exp_ in place": ("return mu + logvar.mul_(0.5).exp_() * eps", "argument 2 is another after the call: a function whose name ends in _"),
            "one shape only": (f"assert mu.shape == logvar.shape == eps.shape\nreturn mu + {SIGMA} * eps", "eps may be (5, 4, 3), for five draws of each z"),
            "bounded on both sides": ("return mu + torch.exp(0.5 * logvar.clamp(-10, 10)) * eps", "is logvar bounded"),
            "bounded from below": ("return mu + torch.exp(0.5 * logvar.clamp(-30, 60)) * eps", "is logvar bounded"),
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
            "detached": ("mu, h = self._encoded(x).chunk(2, 1)\nreturn Posterior(mu, h.detach())", "no gradient passes through logvar"),
            "one tensor": ("return self._encoded(x)", "encode must give two tensors, mu and logvar, got a tensor"),
            "one half twice": ("mu, _ = self._encoded(x).chunk(2, 1)\nreturn Posterior(mu, mu)", "mu and logvar are the same numbers"),
            "halves of the batch": ("return Posterior(*self._encoded(x).chunk(2))", "mu and logvar must be (B, latent_dim)"),
            "return forgotten": ("mu, logvar = self._encoded(x).chunk(2, 1)", "got a NoneType"),
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
            "swapped": (f"{ENCODED}return self.decode(reparametrize(logvar, mu, eps)), mu, logvar", "mu, then logvar"),
            "noise on the CPU": ("mu, logvar = self.encode(x)\neps = torch.randn(mu.shape, generator=generator)\nreturn self.decode(reparametrize(mu, logvar, eps)), mu, logvar", "make it where mu is, with device=mu.device"),
            "σ handed on for logvar": (f"{ENCODED}return self.decode(reparametrize(mu, (0.5 * logvar).exp(), eps)), mu, logvar", "z must be drawn from N(mu, exp(logvar))"),
            "noise twice": (f"{ENCODED}return self.decode(reparametrize(mu, logvar, eps) + eps), mu, logvar", "z must be drawn from N(mu, exp(logvar))"),
        },
    },
    "The reconstruction term": {
        "losses.reconstruction_loss": {
            "mean over pixels": ("return F.mse_loss(logits.sigmoid(), x, reduction='none').flatten(1).mean(1)", "the pixels are reduced by mean instead of sum"),
            "one number": ("return F.mse_loss(logits.sigmoid(), x, reduction='sum') / len(x)", "must have shape (6,), got ()"),
            "logits as pixels": (f"return (logits - x).square(){SUM}", "logits are passed as pixels"),
            "sigmoid twice": (f"return (logits.sigmoid().sigmoid() - x).square(){SUM}", "the sigmoid is applied twice"),
            "the root": (f"return (logits.sigmoid() - x).square(){SUM}.sqrt()", "No known mistake gives this. Compare next at one image with one number"),
            "absolute": (f"return (logits.sigmoid() - x).abs(){SUM}", "the differences are not squared"),
            "half": (f"return 0.5 * (logits.sigmoid() - x).square(){SUM}", "there is a factor ½"),
            "likelihood ignored": (f"return (logits.sigmoid() - x).square(){SUM}", "it is the squared error, whatever the likelihood"),
            "cross-entropy always": (f"return {CROSS_ENTROPY}{SUM}", "it is the cross-entropy, whatever the likelihood"),
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
        },
    },
    "The KL": {
        "losses.kl_per_dimension": {
            "mu detached": (KL.replace("mu**2", "mu.detach()**2"), "no gradient reaches mu"),
            "logvar detached": (KL.replace("- logvar)", "- logvar.detach())"), "the value is right, and its gradient to logvar is"),
            "no bound": ("return 0.5 * (mu**2 + logvar.exp() - 1 - logvar)", "exp overflows from 89 on"),
            "bounded on both sides": (KL.replace("max=60", "-10, 10"), "logvar is bounded: the KL of a narrow or wide q must grow with it"),
            "bounded from below": (KL.replace("max=60", "-30, 60"), "logvar is bounded"),
            "a small number in the log": (KL.replace("- logvar)", "- (logvar.exp() + 1e-8).log())"), "logvar is bounded"),
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
        },
        "losses.kl_normal": {
            "mean over dimensions": ("return kl_per_dimension(mu, logvar).mean(1)", "the latent dimensions are reduced by mean instead of sum"),
            "sum over the batch": ("return kl_per_dimension(mu, logvar).sum(0)", "must have shape (6,), got (5,)"),
            "one number": ("return kl_per_dimension(mu, logvar).sum(1).mean()", "must have shape (6,), got ()"),
            "item": ("return kl_per_dimension(mu, logvar).sum().item()", "leave .item() and float() out"),
            "averaged twice": ("return kl_per_dimension(mu, logvar).sum(1) / len(mu)", "the batch is averaged twice"),
            "no gradient": ("with torch.no_grad():\n    return kl_per_dimension(mu, logvar).sum(1)", "no gradient passes through the KL"),
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
            "after the step": (STEP + "recon, kl, loss = loss_terms(model, x, config, generator.manual_seed(0))\n" + DETACHED, "they are those of after the step"),
            "the error alone": (STEP.replace("loss.backward()", "recon.backward()") + DETACHED, "the gradient is not that of the loss"),
            "the other way": (STEP.replace("loss.backward()", "(-loss).backward()") + DETACHED, "the step climbs"),
            "clipped": (STEP.replace("optimizer.step()", "nn.utils.clip_grad_norm_(model.parameters(), 1e-3)\noptimizer.step()") + DETACHED, "it is scaled or clipped on the way"),
            "a config of its own": (STEP.replace("x, config, ", "x, TrainConfig(), ") + DETACHED, "with the config and the generator that are passed in"),
            "another β": (STEP.replace("x, config, ", "x, replace(config, beta=0.001), ") + DETACHED, "with the config and the generator that are passed in"),
            "without gradients": ("with torch.no_grad():\n    recon, kl, loss = loss_terms(model, x, config, generator)\noptimizer.zero_grad()\nloss.backward()\noptimizer.step()\n" + DETACHED, "no detach(), item() or no_grad() before it"),
            "mode changed": ("model.eval()\n" + STEP + DETACHED, "a step must leave the model's mode"),
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
        },
    },
    "Interpolation": {
        "latent.lerp": {
            "for codes only": ("t = t.unsqueeze(1)\nreturn (1 - t) * a + t * b", "a and b may have any one shape|expected|must be"),
            "swapped": ("t = t.view(-1, *[1] * a.ndim)\nreturn t * a + (1 - t) * b", "a and b are swapped: t = 0 is a"),
            "a not weighed": ("t = t.view(-1, *[1] * a.ndim)\nreturn a + t * b", "t b is added to the whole of a"),
            "bounded": ("t = t.view(-1, *[1] * a.ndim).clamp(0, 1)\nreturn (1 - t) * a + t * b", "t is bounded by 1"),
            "return forgotten": ("t = t.view(-1, *[1] * a.ndim)", "is its `return` forgotten?"),
        },
        "latent.path_positions": {
            "without the end": ("return torch.arange(steps) / steps", "the walk misses its end"),
            "without the start": ("return torch.arange(1, steps + 1) / steps", "the walk misses its start"),
            "by NumPy": ("import numpy as np\nreturn torch.from_numpy(np.linspace(0, 1, steps))", "positions must be float32, got torch.float64"),
            "an array": ("import numpy as np\nreturn np.linspace(0, 1, steps)", "it gives a NumPy array"),
            "a list": ("return [i / (steps - 1) for i in range(steps)]", "it gives a list"),
            "one more": ("return torch.linspace(0, 1, steps + 1)", "2 positions must have shape (2,), got (3,)"),
            "uneven": ("return torch.linspace(0, 1, steps) ** 2", "the steps are not even"),
            "backwards": ("return torch.linspace(1, 0, steps)", "the walk goes from the second image to the first"),
        },
        "latent.walk": {
            "slerp ignored": ("z = lerp(codes(model, x_a), codes(model, x_b), t)\nreturn decode(model, z.flatten(0, 1)).unflatten(0, z.shape[:2])", 'method="slerp" is ignored'),
            "pairs before steps": ("z = lerp(codes(model, x_a), codes(model, x_b), t).transpose(0, 1)\nreturn decode(model, z.flatten(0, 1)).unflatten(0, z.shape[:2])", "must be (5, 3, 1, 28, 28), got (3, 5, 1, 28, 28)"),
            "not flattened": ("return decode(model, lerp(codes(model, x_a), codes(model, x_b), t))", "z must be (N, 4) for this model, got (5, 3, 4)"),
            "not unflattened": ("z = lerp(codes(model, x_a), codes(model, x_b), t)\nreturn decode(model, z.flatten(0, 1))", "must be (5, 3, 1, 28, 28), got (15, 1, 28, 28)"),
            "encode for codes": ("z = lerp(model.encode(x_a)[0], model.encode(x_b)[0], t)\nreturn decode(model, z.flatten(0, 1)).unflatten(0, z.shape[:2])", "encode of an autoencoder gives z, of a VAE (mu, logvar), so that its [0] is not the same"),
            "of pixels": ("images = lerp(x_a, x_b, t)\nreturn decode(model, codes(model, images.flatten(0, 1))).unflatten(0, images.shape[:2])", "it is the codes that are interpolated"),
        },
        "latent.interpolate": {
            "codes without [0]": (ENDS.replace("codes(model, torch.stack([x_a, x_b]))", "codes(model, x_a[None]), codes(model, x_b[None])") + "return decode(model, lerp(a, b, t))", "codes(model, x) has a row for each image, so of one image take its [0]"),
            "encode for codes": ("a, b = model.encode(torch.stack([x_a, x_b]))[0]\nreturn decode(model, lerp(a, b, path_positions(steps)))", "with an autoencoder, whose encode gives z alone: ValueError: too many values to unpack"),
            "codes of one image": ("a, b = codes(model, x_a), codes(model, x_b)\nreturn decode(model, lerp(a, b, path_positions(steps)))", "add the channel with .unsqueeze(1), or a batch with .unsqueeze(0)"),
            "reconstructions cross-faded": ("a, b = reconstruct(model, torch.stack([x_a, x_b]))\nreturn lerp(a, b, path_positions(steps))", "the two reconstructions are cross-faded"),
            "pixels": ("return reconstruct(model, lerp(x_a, x_b, path_positions(steps)))", "it is the codes that are interpolated"),
            "pixels alone": ("return lerp(x_a, x_b, path_positions(steps))", "nothing is decoded"),
            "images between the ends only": (ENDS + "return decode(model, lerp(a, b, t[1:-1]))", "5 images were asked for, got 3"),
            "t of its own, without the end": (ENDS + "return decode(model, lerp(a, b, torch.arange(steps) / steps))", "t = i / n stops short"),
            "slerp ignored": ("return walk(model, _one(x_a), _one(x_b), path_positions(steps))[:, 0]", 'method="slerp" is ignored'),
            "steps ignored": ("return walk(model, _one(x_a), _one(x_b), path_positions(7), method)[:, 0]", "5 images were asked for, got 7"),
            "a dimension too many": ("return walk(model, _one(x_a), _one(x_b), path_positions(steps), method)", "images must be (5, 1, 28, 28), one for each z, got (5, 1, 1, 28, 28)"),
            "logits": (ENDS + "model.eval()\nwith torch.no_grad():\n    return model.decode(lerp(a, b, t))", "logits are passed as pixels"),
            "with noise": ("model.eval()\nz = codes(model, torch.stack([x_a, x_b]))\na, b = z + torch.randn(z.shape)\nreturn decode(model, lerp(a, b, path_positions(steps)))", "and without noise"),
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
