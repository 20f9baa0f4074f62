"""Encoders and decoders, layer by layer: what a network is made of, compared with what its docstring says."""

import itertools

import torch
from torch import nn

from .explain import explained
from .layers import Passed, described, sequential, trace
from .mistake import Mistake

_CONVOLUTIONS = nn.Conv2d | nn.ConvTranspose2d
_SHAPING = nn.Flatten | nn.Unflatten | nn.Identity
_WIDTHS = {"encoder": [14, 7, 3, 1], "decoder": [3, 7, 14, 28]}  # of the images between convolutions


@explained
def fully_connected(model: nn.Module, latent_dim: int, hidden: tuple[int, ...]) -> None:
    """Your `encoder` and `decoder` of linear layers: flat nn.Sequentials, with the sizes of `hidden` in between.

    The encoder may give any multiple of latent_dim.
    """
    for which, sizes in (("encoder", (784, *hidden)), ("decoder", (latent_dim, *reversed(hidden)))):
        network = sequential(model, which)
        if any([*layer.children()] for layer in network):
            raise Mistake(
                f"the {which} must be one flat nn.Sequential, without others inside: notebook 1 puts its weights into "
                "one that it builds by hand"
            )
        layers = [layer for layer, _ in fitting(network, which, latent_dim) if not isinstance(layer, nn.Unflatten)]
        start = ["Flatten"] if which == "encoder" else []
        inner = [name for a, b in itertools.pairwise(sizes) for name in (f"Linear({a}, {b})", "ReLU")]
        last = _outputs(layers) if which == "encoder" else 784
        _compare(which, layers, [*start, *inner, f"Linear({sizes[-1]}, {last})"])
        if which == "encoder" and last % latent_dim:
            raise Mistake(f"the encoder must give n_out numbers, here {latent_dim} or twice as many, got {last}")


def _outputs(layers: list[nn.Module]) -> int:
    return next((layer.out_features for layer in reversed(layers) if isinstance(layer, nn.Linear)), 0)


@explained
def convolutional(model: nn.Module, channels: tuple[int, ...] | None = None) -> None:
    """Your convolutional body: `encoder` 28 → 14 → 7 → 3 → 1 pixels wide, `decoder` back, BatchNorm on the inner.

    channels: of the encoder's convolutions, if you say.
    """
    for which, kind, kernels in (("encoder", "Conv2d", (4, 4, 3, 3)), ("decoder", "ConvTranspose2d", (3, 3, 4, 4))):
        network = sequential(model, which)
        passed = fitting(network, which)
        layers = [layer for layer, _ in passed if not isinstance(layer, _SHAPING)]
        norms = sum(isinstance(layer, nn.BatchNorm2d) for layer in layers)
        if norms != 3:
            raise Mistake(
                f"the {which} must have 3 BatchNorm2d, one for each convolution but that beside the image, got {norms}"
            )
        block, edge = [kind, "BatchNorm2d", "LeakyReLU(0.2)"], [kind, "LeakyReLU(0.2)"]
        expected = [*edge, *3 * block, "Linear"] if which == "encoder" else ["Linear", *3 * block, kind]
        _compare(which, layers, expected)
        convolutions = [layer for layer in layers if isinstance(layer, _CONVOLUTIONS)]
        for i, (layer, kernel) in enumerate(zip(convolutions, kernels, strict=True)):
            beside_image = i == (0 if which == "encoder" else 3)
            _check_convolution(f"convolution {i + 1} of the {which}", layer, kernel, beside_image)
        if channels:
            found = [layer.out_channels for layer in convolutions]
            wanted = [*channels] if which == "encoder" else [*channels[-2::-1], 1]
            if found != wanted:
                raise Mistake(f"the channels after the {which}'s convolutions must be {wanted}, got {found}")


def _check_convolution(which: str, layer: nn.Module, kernel: int, beside_image: bool) -> None:
    """Kernel, stride and bias; of the rest what leaves the sizes as they are, and is not meant."""
    for name, wanted in (("kernel_size", (kernel, kernel)), ("stride", (2, 2)), ("dilation", (1, 1)), ("groups", 1)):
        if (found := getattr(layer, name)) != wanted:
            raise Mistake(f"{which} must have {name} {wanted}, got {found}")
    if layer.padding_mode != "zeros":
        raise Mistake(f"{which} must pad with zeros, got padding_mode {layer.padding_mode!r}")
    if beside_image and layer.bias is None:
        raise Mistake(f"{which} has no BatchNorm after it, so it needs its bias")
    if not beside_image and layer.bias is not None:
        raise Mistake(f"{which} has a bias, which the BatchNorm after it subtracts again: build it without")


def fitting(network: nn.Sequential, which: str, latent_dim: int | None = None) -> list[Passed]:
    """The layers that an image or a code passes, if all shapes fit, and the images between convolutions too."""
    linear = next((m for m in network.modules() if isinstance(m, nn.Linear)), None)
    size = latent_dim or getattr(linear, "in_features", 1)
    x = torch.randn(11, *((1, 28, 28) if which == "encoder" else (size,)), generator=torch.Generator().manual_seed(0))
    passed, problem = trace(network, which, x)
    widths = [width for layer, width in passed if isinstance(layer, _CONVOLUTIONS)]
    if (widths or not (latent_dim or problem)) and widths != _WIDTHS[which]:
        raise Mistake(
            f"the {which}'s convolutions must give images {_WIDTHS[which]} pixels wide, got {widths}: work the padding "
            "out from the sizes"
        )
    if problem:
        raise Mistake(problem)
    return passed


def _compare(which: str, layers: list[nn.Module], expected: list[str]) -> None:
    """Raise a Mistake that names the first layer that is not what is expected."""
    found = [described(layer) for layer in layers]
    for i, (a, b) in enumerate(zip([*found, "nothing"], [*expected, "nothing"], strict=False)):
        if a == b or (b.isalnum() and a.startswith(f"{b}(") and "bias" not in a):
            continue
        place = f"after {found[i - 1]}" if i else "first"
        cause = ""
        if b == "nothing":
            place, cause = "after the last layer", ": what it gives must be free to take any value"
        elif a.startswith("Linear(") and "bias" in a:
            cause = ": a linear layer needs its bias"
        elif b == "Flatten":
            cause = ": it makes rows of 784 numbers of images"
        elif a == "LeakyReLU(0.01)":
            cause = ": 0.01 is PyTorch's own slope"
        raise Mistake(f"in the {which}, {b} must come {place}, got {a}{cause}")
