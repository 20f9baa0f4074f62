"""The settings that all notebooks share, from one file beside them, so that they cannot disagree: settings.toml.

`RUNS` says how long the models train. What the file does not say has the default of `Settings`.
"""

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import NamedTuple

from .config import DEVICES
from .data import ARCHIVES
from .inputs import real, whole

FILE = "settings.toml"
ARCHS = ("mlp", "conv")


class Epochs(NamedTuple):
    """Passes over the training images: of each VAE of a sweep by arch, and how many times that of two models."""

    mlp: int
    conv: int
    autoencoder: int = 1
    tuned: int = 2


# "reference": as this assignment was first set, 10 epochs for the AE, 5 for each β, 20 for the tuned one.
RUNS = {
    "quick": Epochs(mlp=2, conv=2),
    "final": Epochs(mlp=10, conv=5),
    "reference": Epochs(mlp=10, conv=5, autoencoder=2, tuned=4),
}


@dataclass(frozen=True)
class Settings:
    """What settings.toml may say, by the same names."""

    name: str = ""  # for the report: whose it is
    course: str = ""
    date: str = ""
    run: str = "final"  # one of RUNS
    arch: str = ""  # "mlp" or "conv"; default: "conv" if run is "reference", else "mlp"
    epochs: int = 0  # default: that of the run
    seed: int = 0
    dataset: str = "mnist"
    tuned: float | None = None  # the β of H5
    device: str = "cpu"  # what trains, as in TrainConfig

    def __post_init__(self) -> None:
        for field in fields(self):
            value, kind = getattr(self, field.name), field.type
            if kind is str and not isinstance(value, str):
                raise ValueError(f'{field.name} must be text in quotes, got {value!r}: {field.name} = "{value}"')
        whole("seed", self.seed, least=0)
        whole("epochs", self.epochs, least=0)
        object.__setattr__(self, "arch", self.arch or ("conv" if self.run == "reference" else "mlp"))
        for name, known in (("run", RUNS), ("arch", ARCHS), ("device", DEVICES), ("dataset", ARCHIVES)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be one of {', '.join(map(repr, known))}, got {getattr(self, name)!r}")
        if self.tuned is not None and real("tuned", self.tuned) < 0:
            raise ValueError(f"tuned is a β, so it must be 0 or more, got {self.tuned}")

    @property
    def beta(self) -> float:
        """The tuned β. ValueError where none has been chosen."""
        if self.tuned is None:
            raise ValueError(
                f"no tuned β has been chosen: write a first guess into {FILE}, as in  tuned = 0.05  (where there is no "
                "such file, TUNED = 0.05 into this cell), and run this cell again. Notebook 2 tells in section H5 how "
                "good it is; then change it"
            )
        return self.tuned

    def passes(self, arch: str) -> int:
        """EPOCHS, of each VAE of the sweep with this arch."""
        return self.epochs or getattr(RUNS[self.run], arch)

    def longer(self, epochs: int) -> tuple[int, int]:
        """(AE_EPOCHS, TUNED_EPOCHS): those of the autoencoder and of the tuned VAE, which needs more to settle."""
        return epochs * RUNS[self.run].autoencoder, epochs * RUNS[self.run].tuned


def notebook_settings(folder: str | Path = ".", **defaults) -> Settings:
    """What settings.toml in `folder` says, by default where the notebook is; `defaults` where it says nothing.

    Without that file, as on a page that opens one notebook alone, the defaults hold. ValueError, which names the file,
    for what is not TOML, for an unknown name and for an impossible value.
    """
    path = Path(folder, FILE)
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8-sig")) if path.is_file() else {}
        if unknown := found.keys() - {field.name for field in fields(Settings)}:
            known = ", ".join(field.name for field in fields(Settings))
            raise ValueError(f"there is no setting {', '.join(sorted(unknown))}; there are {known}")
        return Settings(**defaults | found)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from None
