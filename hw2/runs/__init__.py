"""Nothing trains twice: runs on disk, resumed where they stopped, and swept over cores and machines.

A notebook calls `train_or_load` for one run and `sweep` for a grid of them; `save`, `load_checkpoint` and
`fit_with_checkpoint` take a file's name instead of keeping files themselves.
"""

from .checkpoints import Run, fit_with_checkpoint, load_checkpoint, save
from .kept import train_or_load
from .sweeps import sweep

__all__ = ["Run", "fit_with_checkpoint", "load_checkpoint", "save", "sweep", "train_or_load"]
