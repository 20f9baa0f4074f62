"""Digits in memory: MNIST from the archives in this package, its two siblings through torchvision's download.

The files are the published ones: the MD5 sums are torchvision's, and torchvision's reader parses them. What
torchvision does not check, an extracted file, is compared here with the length and CRC-32 in its archive's trailer.

LeCun, Cortes & Burges, "The MNIST database of handwritten digits" (CC BY-SA 3.0); Xiao et al. 2017
(arXiv:1708.07747) for Fashion-MNIST; Clanuwat et al. 2018 (arXiv:1812.01718) for KMNIST.
"""

import gzip
import hashlib
import os
import shutil
import time
import urllib.request
import zlib
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

import torch
from torch import Tensor

from .files import cache_folder, replacing

ASSETS = Path(__file__).parent / "assets"
SETS = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST", "kmnist": "KMNIST"}  # ours: torchvision's
SPLITS = {"train": "train", "test": "t10k"}  # ours: the file names'
SILENCE_S, DOWNLOAD_S = 20.0, 600.0  # longest wait for a server's next bytes, and for one archive


def check_images(images: Tensor) -> None:
    """Raise unless `images` is float32 (N, 1, 28, 28) with N >= 1 and pixels in [0, 1]."""
    if not isinstance(images, Tensor):
        raise TypeError(f"images must be a torch.Tensor, got {type(images).__name__}")
    if images.dtype != torch.float32:
        remedy = ": divide by 255 after .float()" if images.dtype == torch.uint8 else ": convert with .float()"
        raise TypeError(f"images must be float32, got {images.dtype}{remedy}")
    if images.ndim != 4 or images.shape[1:] != (1, 28, 28) or len(images) == 0:
        raise ValueError(f"images must be (N, 1, 28, 28) with N >= 1, got {tuple(images.shape)}")
    low, high = (v.item() for v in images.aminmax())
    if low != low:  # aminmax hands NaN on
        raise ValueError(f"images contain NaN in {int(images.isnan().flatten(1).any(1).sum())} of {len(images)} images")
    if low < 0 or high > 1:
        raise ValueError(f"pixels must be in [0, 1], got [{low:g}, {high:g}]: divide by 255 if they are bytes")


@dataclass(frozen=True, eq=False)
class Digits:
    """Images and their labels, checked. A slice or an index tensor selects: `digits[:50_000]`.

    images: (N, 1, 28, 28) float32 in [0, 1]; labels: (N,) int64. TypeError or ValueError for anything else.
    """

    images: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        check_images(self.images)
        labels = self.labels
        if not isinstance(labels, Tensor) or labels.shape != (len(self.images),) or labels.dtype != torch.int64:
            got = f"{labels.dtype} {tuple(labels.shape)}" if isinstance(labels, Tensor) else type(labels).__name__
            raise ValueError(f"labels must be a tensor, int64 ({len(self.images)},), one per image, got {got}")

    def __len__(self) -> int:
        return len(self.images)

    def __reduce__(self):
        """To another process a slice travels alone, not with all that it was cut from."""
        return Digits, tuple(
            t.clone() if t.untyped_storage().nbytes() > t.nbytes else t for t in (self.images, self.labels)
        )

    def __getitem__(self, rows: slice | Tensor | Iterable[int]) -> "Digits":
        if isinstance(rows, int):
            raise TypeError(f"digits[{rows}] is ambiguous: use digits[{rows}:{rows + 1}] or digits.images[{rows}]")
        return Digits(self.images[rows], self.labels[rows])

    def index_of(self, label: int, nth: int = 0) -> int:
        """Index of the nth image of a class, counted from 0 in the set's order. IndexError if there are fewer."""
        rows = (self.labels == label).nonzero().flatten()
        if not 0 <= nth < len(rows):
            raise IndexError(f"class {label} has {len(rows)} images here, number {nth} was asked for")
        return int(rows[nth])

    def digest(self) -> str:
        """SHA-256 of the pixels and labels, in hex."""
        sha = hashlib.sha256(self.images.contiguous().numpy())
        sha.update(self.labels.contiguous().numpy())
        return sha.hexdigest()


def load(name: str = "mnist", split: str = "train") -> Digits:
    """The published images of one split, in their published order.

    name: "mnist" (needs no network), "fashion-mnist" or "kmnist" (downloaded on first use). split: "train"
    (60,000) or "test" (10,000). Extracted files live in `$HW2_DATA`, by default the user's cache folder, and are
    checked on every load; a damaged one is extracted again. ValueError for an unknown name or split; RuntimeError
    with the path and the remedy where an archive is missing or damaged.
    """
    if name not in SETS:
        raise ValueError(f"unknown data set {name!r}: expected one of {', '.join(SETS)}")
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}: expected one of {', '.join(SPLITS)}")
    from torchvision import datasets  # here, because importing it takes longer than loading the digits

    published = getattr(datasets, SETS[name])
    folder = cache_folder("HW2_DATA", "data") / SETS[name] / "raw"
    images_file, labels_file = (f"{SPLITS[split]}-{kind}-ubyte" for kind in ("images-idx3", "labels-idx1"))
    md5 = dict(published.resources)
    for file in (images_file, labels_file):
        archive = f"{file}.gz"
        own = [ASSETS / archive] if name == "mnist" else []
        _extract(_find_archive(archive, md5[archive], own, folder, published.mirrors), folder / file)
    images = datasets.mnist.read_image_file(folder / images_file)
    labels = datasets.mnist.read_label_file(folder / labels_file)
    return Digits(images.unsqueeze(1).float() / 255, labels)


def _find_archive(archive: str, md5: str, own: list[Path], folder: Path, mirrors: list[str]) -> Path:
    """An archive whose MD5 is the published one: the package's own, the folder's, or a fresh download."""
    from torchvision.datasets.utils import check_md5

    path = folder / archive
    for candidate in (*own, path):
        with suppress(OSError):  # missing or unreadable: the next may do
            if check_md5(candidate, md5):
                return candidate
    problems = []
    for mirror in () if own else mirrors:
        try:
            with replacing(path) as temporary:
                _download(mirror + archive, temporary)
                if not check_md5(temporary, md5):
                    raise RuntimeError(f"{temporary.stat().st_size} bytes that are not the published file")
            return path
        except (OSError, HTTPException, RuntimeError) as error:  # no network, or not the published file
            problems.append(f"{mirror}{archive}: {error}")
    state = "is damaged (its MD5 is not the published one)" if (own or [path])[0].exists() else "is missing"
    raise RuntimeError(
        f"{(own or [path])[0]} {state}. Put the published {archive} (MD5 {md5}) into {folder} and load again."
        + "".join(f"\n  tried {problem}" for problem in problems)
    )


def _download(url: str, target: Path) -> None:
    """Fetch a file, in bounded time. TimeoutError, or what urllib raises, if it does not come."""
    from tqdm.auto import tqdm

    end = time.monotonic() + DOWNLOAD_S
    with urllib.request.urlopen(url, timeout=SILENCE_S) as answer, target.open("wb") as file:
        size = int(answer.headers.get("Content-Length") or 0) or None
        with tqdm(total=size, unit="B", unit_scale=True, desc=url.rpartition("/")[2]) as bar:
            while part := answer.read1(1 << 16):
                file.write(part)
                bar.update(len(part))
                if time.monotonic() > end:
                    raise TimeoutError(f"not complete after {DOWNLOAD_S:g} s")


def _extract(archive: Path, target: Path) -> None:
    """Leave at `target` what `archive` holds; a file that is there already is checked, not trusted."""
    with archive.open("rb") as file:
        file.seek(-8, os.SEEK_END)
        crc, size = (int.from_bytes(file.read(4), "little") for _ in range(2))  # RFC 1952, section 2.3.1
    with suppress(OSError):
        content = target.read_bytes()
        if len(content) == size and zlib.crc32(content) == crc:
            return
    try:
        with replacing(target) as temporary, gzip.open(archive) as source, temporary.open("wb") as sink:
            shutil.copyfileobj(source, sink)
    except OSError as error:
        raise RuntimeError(
            f"cannot write {target} ({error}): "
            "make it writable, delete it if it is a folder, or set HW2_DATA to another place"
        ) from error
