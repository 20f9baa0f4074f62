"""The encoders and decoders that the models put together, and their initial weights. Notebook 1.

"mlp" is 784-512-256-latent and back, with other sizes if asked for; "conv" is the homework's convolutional network,
28→14→7→3→1 with 32, 64, 128, 256 channels. Decoders end in logits.

Papers: Hinton & Salakhutdinov 2006, Science 313:504; Radford et al. 2016 (arXiv:1511.06434) for the convolutional body.
"""

import itertools
from collections.abc import Callable

import torch
from torch import nn

from .losses import PIXELS

SHAPE = (1, 28, 28)


def mlp_encoder(n_out: int, hidden: tuple[int, ...]) -> nn.Sequential:
    """The fully connected encoder: images (B, 1, 28, 28) to n_out numbers each, (B, n_out).

    One flat nn.Sequential: an image as a row of 784 pixels; for each size in `hidden`, in order, a linear layer that
    gives so many numbers, and a ReLU; a linear layer that gives n_out. Nothing comes after that, because a code may
    take any value. `hidden` has one size or more. Notebook 1 puts the weights into the same network built by hand, so
    other layers, or a Sequential inside, would not fit.
    """
    layers: list[nn.Module] = [nn.Flatten()]
    for n_in, n in itertools.pairwise((PIXELS, *hidden)):
        layers += [nn.Linear(n_in, n), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear((PIXELS, *hidden)[-1], n_out))


def mlp_decoder(latent_dim: int, hidden: tuple[int, ...]) -> nn.Sequential:
    """The fully connected decoder: codes (B, latent_dim) to logits (B, 1, 28, 28).

    One flat nn.Sequential: for each of the encoder's sizes `hidden`, in reverse order, a linear layer and a ReLU; a
    linear layer that gives 784 numbers; these in the shape of an image. There is no sigmoid: the loss takes logits.
    """
    layers: list[nn.Module] = []
    sizes = (latent_dim, *reversed(hidden))
    for n_in, n in itertools.pairwise(sizes):
        layers += [nn.Linear(n_in, n), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], PIXELS), nn.Unflatten(1, SHAPE))


def conv_encoder(n_out: int, channels: tuple[int, ...]) -> nn.Sequential:
    """The homework's convolutional encoder: images (B, 1, 28, 28) to n_out numbers each, (B, n_out).

    An nn.Sequential of four convolutions, which give the four `channels`, with kernels 4, 4, 3, 3 and stride 2. What
    they give is 14, 7, 3 and 1 pixels wide: work out from these widths which of them pad with zeros, and by how much.
    After each comes a LeakyReLU of slope 0.2, and before that, for all but the first, a BatchNorm; a convolution
    before a BatchNorm has no bias, which it would subtract again. Last come the numbers that are left, as a row, and a
    linear layer that gives n_out, with nothing after it.
    """
    a, b, c, d = channels

    def block(n_in, n, *geometry):
        return [nn.Conv2d(n_in, n, *geometry, bias=False), nn.BatchNorm2d(n), nn.LeakyReLU(0.2)]

    return nn.Sequential(
        nn.Conv2d(1, a, 4, 2, 1), nn.LeakyReLU(0.2),  # 28 -> 14, no BatchNorm on the first
        *block(a, b, 4, 2, 1),  # 14 -> 7
        *block(b, c, 3, 2),  # 7 -> 3
        *block(c, d, 3, 2),  # 3 -> 1
        nn.Flatten(), nn.Linear(d, n_out),
    )  # fmt: skip


def conv_decoder(latent_dim: int, channels: tuple[int, ...]) -> nn.Sequential:
    """The homework's convolutional decoder: codes (B, latent_dim) to logits (B, 1, 28, 28).

    An nn.Sequential, the encoder in reverse: a linear layer that gives as many numbers as the last of `channels`,
    seen as images of one pixel; four transposed convolutions of stride 2 with kernels 3, 3, 4, 4, which give the third,
    the second and the first of `channels`, and 1. What they give is 3, 7, 14 and 28 pixels wide: work the paddings out
    from that. After each but the last come a BatchNorm and a LeakyReLU of slope 0.2, and a convolution before a
    BatchNorm has no bias. The last one has, and gives the logits: there is no sigmoid, and nothing between the linear
    layer and the first convolution.
    """
    a, b, c, d = channels

    def block(n_in, n, *geometry):
        return [nn.ConvTranspose2d(n_in, n, *geometry, bias=False), nn.BatchNorm2d(n), nn.LeakyReLU(0.2)]

    return nn.Sequential(
        nn.Linear(latent_dim, d), nn.Unflatten(1, (d, 1, 1)),
        *block(d, c, 3, 2),  # 1 -> 3
        *block(c, b, 3, 2),  # 3 -> 7
        *block(b, a, 4, 2, 1),  # 7 -> 14
        nn.ConvTranspose2d(a, 1, 4, 2, 1),  # 14 -> 28
    )  # fmt: skip


# arch: encoder, decoder, and the default of `hidden` (layer sizes, or channels).
ARCHS: dict[str, tuple[Callable, Callable, tuple[int, ...]]] = {
    "mlp": (mlp_encoder, mlp_decoder, (512, 256)),
    "conv": (conv_encoder, conv_decoder, (32, 64, 128, 256)),
}


def initialise(network: nn.Module, generator: torch.Generator) -> None:
    """Draw the initial weights of a network with `generator`, in place, on the CPU in float32.

    The network was built on torch's "meta" device, where tensors have shapes and no values, so that building it draws
    nothing from torch's global generator. Each weight and bias is uniform within ±1/√fan_in, PyTorch's own default; a
    layer of another kind is filled by its `reset_parameters`. TypeError for one that has parameters and no such method.
    """
    network.float().to_empty(device="cpu")
    for layer in network.modules():
        own = [*layer.parameters(recurse=False)]
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            bound = layer.weight[0].numel() ** -0.5  # weight[0] has fan_in numbers
            for parameter in own:
                nn.init.uniform_(parameter, -bound, bound, generator=generator)
        elif hasattr(layer, "reset_parameters"):
            layer.reset_parameters()
        elif own or [*layer.buffers(recurse=False)]:
            raise TypeError(f"{type(layer).__name__} has no reset_parameters(): add one that fills its parameters")
