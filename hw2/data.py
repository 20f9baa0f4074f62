"""Images in memory, read straight from published archives: MNIST from this package, its two siblings by download.

Nothing is extracted to disk. What is read is compared with the published content, so an archive that somebody
compressed anew (Debian's `dataset-fashion-mnist`) is as good as the original one. Every notebook starts here.

LeCun, Cortes & Burges, "The MNIST database of handwritten digits" (CC BY-SA 3.0); Xiao et al. 2017
(arXiv:1708.07747) for Fashion-MNIST; Clanuwat et al. 2018 (arXiv:1812.01718) for KMNIST.
"""

import gzip
import hashlib
import os
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Subset

from .inputs import check_images, pairs_in, whole

ASSETS = Path(__file__).parent / "assets"
SYSTEM = Path("/usr/share/datasets")  # where Debian's packages of data sets put theirs
MIRRORS = {
    "fashion-mnist": "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    "kmnist": "http://codh.rois.ac.jp/kmnist/dataset/kmnist/",
}
FILES = tuple(f"{part}-{kind}-ubyte.gz" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1"))
SPLITS = {"train": (0, 1), "test": (2, 3)}  # which of FILES hold its images and labels
# MD5 of the published archives, as torchvision has them, in the order of FILES.
ARCHIVES = {
    "mnist": ("f68b3c2dcbeaaa9fbdd348bbdeb94873", "d53e105ee54ea40749a09fcbcd1e9432",
              "9fb629c4189551a2d022fa330f9573f3", "ec29112dd5afa0611ce80d1b7f02629c"),
    "fashion-mnist": ("8d4fb7e6c68d591d4c3dfef9ec88bf0d", "25c81989df183df01b3e8a0aad5dffbe",
                      "bef4ecab320f06d8554ea6380940ec79", "bb300cfdad3c16e7a12a480ee83cd310"),
    "kmnist": ("bdb82020997e1d708af4cf47b453dcf7", "e144d726b3acfaa3e44228e80efcd344",
               "5c965bf0a639b31b8f53240b1b52f4d7", "7320c461ea6c1c855c0b718fb2a4b134"),
}  # fmt: skip
# MD5 of what is in them, where that is known: an archive of the same content will do.
CONTENTS = {
    "fashion-mnist": ("f4a8712d7a061bf5bd6d2ca38dc4d50a", "9018921c3c673c538a1fc5bad174d6f9",
                      "8181f5470baa50b63fa0f6fddb340f0a", "15d484375f8d13e6eb1aabb0c3f46965"),
}  # fmt: skip


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

    @classmethod
    def of(cls, dataset: Iterable) -> "Digits":
        """The images of a Dataset of (image, label) pairs, or of a DataLoader of such batches, in its order.

        Images are tensors as `torchvision.transforms.ToTensor()` makes them. TypeError or ValueError for others.
        """
        if isinstance(dataset, Digits):
            return dataset
        if isinstance(dataset, Subset) and isinstance(dataset.dataset, Digits | Subset):  # of random_split
            return cls.of(dataset.dataset)[torch.as_tensor(dataset.indices, dtype=torch.int64)]
        pairs = [(torch.as_tensor(x), torch.as_tensor(y)) for x, y in pairs_in(dataset)]
        shapes = sorted({tuple(x.shape[-3:]) for x, _ in pairs})
        if len(shapes) != 1:
            raise ValueError(f"the images of a dataset must have one shape, (1, 28, 28), got {shapes or 'no image'}")
        join = torch.cat if pairs[0][0].ndim == 4 else torch.stack
        labels = join([y for _, y in pairs])
        return cls(join([x for x, _ in pairs]), labels if labels.is_floating_point() else labels.long())

    def __len__(self) -> int:
        return len(self.images)

    def __reduce__(self):
        """To another process a slice travels alone, not with all that it was cut from."""
        return Digits, tuple(
            t.clone() if t.untyped_storage().nbytes() > t.nbytes else t for t in (self.images, self.labels)
        )

    def __getitem__(self, rows: slice | Tensor | Iterable[int]) -> "Digits":
        if isinstance(rows, Integral) or (isinstance(rows, Tensor) and rows.ndim == 0):
            one = f"{rows}:{rows + 1 or ''}"  # -1 is followed by the end
            raise TypeError(f"digits[{rows}] is ambiguous: use digits[{one}] or digits.images[{rows}]")
        if not isinstance(rows, slice) and not hasattr(rows, "__array__"):
            rows = list(rows)
        return Digits(self.images[rows], self.labels[rows])

    def index_of(self, label: int, nth: int = 0) -> int:
        """Index of the nth image of a class, counted from 0 in the set's order. IndexError if there are fewer."""
        label, nth = (whole(n, v, least=-(2**63)) for n, v in (("label", label), ("nth", nth)))
        rows = (self.labels == label).nonzero().flatten()
        if not 0 <= nth < len(rows):
            raise IndexError(f"class {label} has {len(rows)} images here, number {nth} was asked for")
        return int(rows[nth])

    def digest(self) -> str:
        """SHA-256 of the pixels and labels, in hex."""
        sha = hashlib.sha256()
        for tensor in (self.images, self.labels):
            sha.update(tensor.contiguous().numpy(force=True))
        return sha.hexdigest()


def load(name: str = "mnist", split: str = "train") -> Digits:
    """The published images of one split, in their published order.

    name: "mnist" (needs no network), "fashion-mnist" or "kmnist" (downloaded on first use into `$HW2_DATA`, by default
    the user's cache folder). split: "train" (60,000) or "test" (10,000). ValueError for an unknown name or split;
    RuntimeError with the path and the remedy where an archive is missing or damaged.
    """
    for what, value, known in (("data set", name, ARCHIVES), ("split", split, SPLITS)):
        if value not in known:
            raise ValueError(f"unknown {what} {value!r}: expected one of {', '.join(known)}")
    images, labels = (_content(name, i) for i in SPLITS[split])
    pixels = torch.frombuffer(images, dtype=torch.uint8, offset=16)  # after the magic number and the sizes
    classes = torch.frombuffer(labels, dtype=torch.uint8, offset=8)
    return Digits(pixels.view(-1, 1, 28, 28).float() / 255, classes.long())


def _content(name: str, i: int) -> bytearray:
    """What is in the i-th of FILES: the package's own, one in the folder or of this system, or a download."""
    file, problems = FILES[i], []
    expected = f"the published archive (MD5 {ARCHIVES[name][i]})"
    folder, fetch = (ASSETS, None) if name == "mnist" else _shelf(name)
    for path in (folder / file, SYSTEM / name / file) if fetch else (folder / file,):
        try:
            return _read(path, name, i)
        except FileNotFoundError:
            problems.append(f"{path} is missing")
        except (OSError, EOFError, zlib.error, ValueError) as error:
            problems.append(f"{path} is damaged, unreadable or another file ({error})")
    if not fetch:
        raise RuntimeError(f"{problems[0]}. Expected {expected}: install hw2 again")
    try:
        return _read(Path(fetch(file)), name, i)
    except (OSError, ValueError) as error:  # no network, no room, a folder in its place, or not the published file
        problems.append(f"{MIRRORS[name]}{file} could not be downloaded ({error})")
        remedy = f"Put {expected} into {folder}, or set HW2_DATA to another folder, and load again"
        raise RuntimeError(f"{'; '.join(problems)}. {remedy}") from error


def _read(path: Path, name: str, i: int) -> bytearray:
    """The archive's content. ValueError if neither archive nor content is the published one, or as gzip raises."""
    archive = path.read_bytes()
    content = gzip.decompress(archive)
    published = [table[name][i] for table in (ARCHIVES, CONTENTS) if name in table]
    if not any(hashlib.md5(data, usedforsecurity=False).hexdigest() in published for data in (archive, content)):
        raise ValueError("its MD5 is not the published one")
    return bytearray(content)


def _shelf(name: str) -> tuple[Path, Callable[[str], str]]:
    """Where a set's downloads are kept, and what fetches one: checked, whole or not at all, tried three times."""
    import pooch  # here, because MNIST does without

    pooch.get_logger().setLevel("WARNING")  # a progress bar is enough
    folder = Path(os.environ.get("HW2_DATA") or pooch.os_cache("hw2") / "data", name)
    registry = {file: f"md5:{md5}" for file, md5 in zip(FILES, ARCHIVES[name], strict=True)}
    shelf = pooch.create(folder, MIRRORS[name], registry=registry, retry_if_failed=2)
    downloader = pooch.HTTPDownloader(progressbar=True, timeout=20)
    return shelf.abspath, lambda file: shelf.fetch(file, downloader=downloader)
