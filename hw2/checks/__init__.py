"""Checks that name the bug: each tries a function of yours on small inputs, and raises `Mistake` with what was found,
what was expected and the most likely cause, or returns nothing if all is well. Properties are tested, not streams of
random numbers, so any right way to write the function passes; all take seconds and train nothing, and nothing here
calls the functions of hw2 that are checked, which in a student edition are yet to be written. `python -m hw2.checks`
runs those of the homework.
"""

from .bodies import convolutional, fully_connected
from .draw import reparametrize
from .generation import sampling
from .mistake import Mistake
from .networks import autoencoder
from .posterior import vae
from .step import training_step
from .tasks import task, total
from .terms import kl, reconstruction
from .walks import interpolation, line, positions, walk

__all__ = [
    "Mistake", "autoencoder", "convolutional", "fully_connected", "interpolation", "kl", "line", "positions",
    "reconstruction", "reparametrize", "sampling", "task", "total", "training_step", "vae", "walk",
]  # fmt: skip
