"""Where files are kept between runs, and how one is written so that it is never half there."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path


def cache_folder(variable: str, name: str) -> Path:
    """The folder that the environment variable names, or `name` in the platform's user cache for hw2."""
    if os.environ.get(variable):
        return Path(os.environ[variable]).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("hw2", appauthor=False)) / name


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` to write to, which takes its place at the end, flushed, in one step.

    An exception leaves the old file as it was. Processes that write the same file at once each write their own, and
    the last one stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
