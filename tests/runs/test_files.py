"""A file is never half there, whatever interrupts its writing."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hw2.runs.files import cache_folder, pack, replacing, unpack


def test_the_new_content_takes_the_old_ones_place(tmp_path):
    path = tmp_path / "new" / "folder" / "file"
    for content in (b"first", b"second"):
        with replacing(path) as temporary:
            temporary.write_bytes(content)
        assert path.read_bytes() == content
    assert list(path.parent.iterdir()) == [path]


def test_what_a_killed_process_left_goes_after_a_day(tmp_path):
    path = tmp_path / "file [1]"
    names = [f".{path.name}.{'0' * 16}", f".{path.name}.{'1' * 16}", f".{path.name}.mine", f".other.{'0' * 16}"]
    for name in names:
        (tmp_path / name).touch()
        age = 0 if "1" * 16 in name else 25 * 3600
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    with replacing(path) as temporary:
        temporary.touch()
    assert {p.name for p in tmp_path.iterdir()} == {path.name, *names[1:]}


def test_the_old_content_stays_until_the_end(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with replacing(path) as temporary:
        temporary.write_bytes(b"half of the n")
        assert temporary.parent == path.parent  # so that replacing is one step within one file system
        assert path.read_bytes() == b"old"


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_an_error_while_writing_leaves_the_old_file_and_nothing_else(error, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def write_half(temporary):
        temporary.write_bytes(b"half of the n")
        raise error

    with pytest.raises(error), replacing(path) as temporary:
        write_half(temporary)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_a_failing_disk_leaves_the_old_file_and_nothing_else(function, tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def fail(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, function, fail)
    with pytest.raises(OSError, match="No space left"), replacing(path) as temporary:
        temporary.write_bytes(b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_content_is_on_disk_before_the_name_is(tmp_path, monkeypatch):
    order = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda *a: (order.append("fsync"), fsync(*a)))
    monkeypatch.setattr(os, "replace", lambda *a: (order.append("replace"), replace(*a)))
    with replacing(tmp_path / "file") as temporary:
        temporary.write_bytes(b"new")
    assert order == ["fsync", "replace"]


def test_writers_at_the_same_time_do_not_mix(tmp_path):
    path = tmp_path / "file"

    def write(letter):
        for _ in range(20):
            with replacing(path) as temporary, temporary.open("wb") as file:
                for _ in range(10):
                    file.write(letter * 100)

    with ThreadPoolExecutor(4) as executor:
        list(executor.map(write, [b"a", b"b", b"c", b"d"]))
    content = path.read_bytes()
    assert len(content) == 1000
    assert len(set(content)) == 1
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.slow
@pytest.mark.parametrize("attempt", range(3))
def test_a_killed_writer_leaves_a_whole_file(attempt, tmp_path):
    """SIGKILL in a tight loop of writes, at three moments."""
    path = tmp_path / "file"
    script = (
        "import importlib.util, pathlib, sys\n"
        f"spec = importlib.util.spec_from_file_location('files', {sys.modules['hw2.runs.files'].__file__!r})\n"
        "files = importlib.util.module_from_spec(spec); spec.loader.exec_module(files)\n"
        "while True:\n"
        "    for letter in (b'a', b'b'):\n"
        "        with files.replacing(pathlib.Path(sys.argv[1])) as temporary:\n"
        "            temporary.write_bytes(letter * 3_000_000)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script, str(path)])
    try:
        deadline = time.monotonic() + 30
        while not path.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.02 + 0.013 * attempt)
    finally:
        process.kill()
        process.wait()
    content = path.read_bytes()
    assert len(content) == 3_000_000
    assert len(set(content)) == 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(about=st.dictionaries(st.text(), JSON, max_size=4))
def test_weights_and_what_they_are_come_back(about, tmp_path_factory):
    path = tmp_path_factory.mktemp("pack") / "weights"
    tensors = {
        "matrix": torch.randn(3, 4).T,  # not contiguous
        "number": torch.tensor(7),
        "special": torch.tensor([float("inf"), float("nan"), -0.0, 1e-45]),
        "empty": torch.zeros(0, 2),
    }
    path.write_bytes(pack(tensors, about))
    back, said = unpack(path)
    assert said == about
    assert back.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert back[name].dtype == tensor.dtype
        torch.testing.assert_close(back[name], tensor, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("text", ["0" * 64, '"sha256":"' + "0" * 64 + '"', '"sha256":"' + "a" * 64 + '"'])
def test_text_that_looks_like_the_hash_does_no_harm(text, tmp_path):
    path = tmp_path / "weights"
    for _ in range(5):  # the header's fields come in any order
        path.write_bytes(pack({"weights": torch.ones(2)}, {"data": text}))
        assert unpack(path)[1] == {"data": text}


def test_damaged_weights_are_refused_with_the_path(tmp_path):
    path = tmp_path / "weights"
    data = bytearray(pack({"weights": torch.ones(5)}, {"kind": "ones"}))
    for position in range(0, 8 * len(data), 3):
        flipped = data.copy()
        flipped[position // 8] ^= 1 << position % 8
        path.write_bytes(flipped)
        with pytest.raises(ValueError, match="damaged") as caught:
            unpack(path)
        assert str(path) in str(caught.value)


def test_missing_weights_are_not_found(tmp_path):
    with pytest.raises(FileNotFoundError):
        unpack(tmp_path / "weights")


def test_cache_folder_is_the_variables(monkeypatch, tmp_path):
    monkeypatch.setenv("HW2_SOMETHING", str(tmp_path / "here"))
    assert cache_folder("HW2_SOMETHING", "runs") == tmp_path / "here"
    monkeypatch.setenv("HW2_SOMETHING", "~/there")
    assert cache_folder("HW2_SOMETHING", "runs") == Path.home() / "there"


@pytest.mark.parametrize("value", [None, ""])
def test_cache_folder_without_the_variable_is_the_users(value, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.delenv("HW2_SOMETHING", raising=False)
    if value is not None:
        monkeypatch.setenv("HW2_SOMETHING", value)
    runs, data = (cache_folder("HW2_SOMETHING", name) for name in ("runs", "data"))
    assert runs != data
    assert "hw2" in str(runs)
    if sys.platform == "linux":
        assert tmp_path in runs.parents
    assert not runs.exists()  # naming a folder does not make it
