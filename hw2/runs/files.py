"""Where files are kept between runs, how one is written so that it is never half there, and what a file of weights is.

A file of weights is one safetensors file whose header also holds what the weights are, as JSON, and the SHA-256 of the
whole file (with that field zeroed): a safetensors file with a flipped bit loads silently, this one is refused. Nothing
in it can run code.
"""

import contextlib
import glob
import hashlib
import json
import os
import re
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

from torch import Tensor

_HASH_FIELD = '"sha256":"%s"'  # as it stands in the header; in a text of the caller's the quotes would be escaped
_NO_HASH = "0" * 64
ABANDONED_S = 24 * 3600  # no file takes that long to write


def cache_folder(variable: str, name: str) -> Path:
    """The folder that the environment variable names, or `name` in the platform's user cache for hw2."""
    if os.environ.get(variable):
        return Path(os.environ[variable]).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("hw2", appauthor=False)) / name


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` to write to, which takes its place at the end, flushed, in one step.

    An exception leaves the old file as it was. What a killed process left is removed by the next, a day later.
    Processes that write the same file at once each write their own, and the last one stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{glob.escape(path.name)}.{'[0-9a-f]' * 16}"):
        with contextlib.suppress(OSError):  # another process may be at the same
            if time.time() - left.stat().st_mtime > ABANDONED_S:
                left.unlink()
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def pack(tensors: dict[str, Tensor], about: dict) -> bytes:
    """The bytes of a file of weights. about: JSON values."""
    import safetensors.torch

    tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
    data = safetensors.torch.save(tensors, {"about": json.dumps(about), "sha256": _NO_HASH})
    return _with_hash(data, _NO_HASH, hashlib.sha256(data).hexdigest())


def _with_hash(data: bytes, old: str, new: str) -> bytes:
    return data.replace((_HASH_FIELD % old).encode(), (_HASH_FIELD % new).encode(), 1)


def unpack(path: Path) -> tuple[dict[str, Tensor], dict]:
    """What `pack` was given. ValueError with the path if the content is not what was written; OSError if unreadable."""
    import safetensors.torch

    data = path.read_bytes()
    header = data[8 : 8 + int.from_bytes(data[:8], "little")]
    found = re.search((_HASH_FIELD % "([0-9a-f]{64})").encode(), header)
    written = found[1].decode() if found else ""
    if not found or hashlib.sha256(_with_hash(data, written, _NO_HASH)).hexdigest() != written:
        raise ValueError(
            f"{path} is damaged, or not a file of hw2's: its content hash does not match. If it is hw2's, delete it"
        )
    return safetensors.torch.load(data), json.loads(json.loads(header)["__metadata__"]["about"])
