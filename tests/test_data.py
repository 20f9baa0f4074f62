"""The published images, and what happens to archives that are missing, damaged or shared. All on this machine."""

import contextlib
import copy
import errno
import functools
import gzip
import hashlib
import importlib
import json
import os
import pickle
import re
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pooch
import pytest
import torch

import hw2.data
from hw2 import Digits, load

# Pooch leaves the connection of a try that failed to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)
MNIST_MD5 = {  # as on the page of the data set, http://yann.lecun.com/exdb/mnist, and in torchvision
    TRAIN_IMAGES: "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    TRAIN_LABELS: "d53e105ee54ea40749a09fcbcd1e9432",
    TEST_IMAGES: "9fb629c4189551a2d022fa330f9573f3",
    TEST_LABELS: "ec29112dd5afa0611ce80d1b7f02629c",
}
CLASS_COUNTS = {
    "train": [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
    "test": [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009],
}


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Looking up, or connecting to, anything but this machine fails the test."""
    lookup, connect = socket.getaddrinfo, socket.socket.connect

    def only_local(host):
        if host not in (None, "", "127.0.0.1", "localhost"):
            raise AssertionError(f"a test asked the network for {host}")

    def local_lookup(host, *args, **kwargs):
        only_local(host)
        return lookup(host, *args, **kwargs)

    def local_connect(self, address):
        only_local(address[0] if isinstance(address, tuple) else None)
        return connect(self, address)

    monkeypatch.setattr(socket, "getaddrinfo", local_lookup)
    monkeypatch.setattr(socket.socket, "connect", local_connect)
    monkeypatch.setenv("no_proxy", "*")


def split_of(file: str) -> str:
    return "train" if file.startswith("train") else "test"


def pixels(archive: Path) -> np.ndarray:
    """The bytes of an archive of images, read without hw2."""
    with gzip.open(archive) as file:
        return np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 1, 28, 28)


def state(folder: Path) -> dict:
    """All that is below a folder: time of the last change, and content."""
    return {
        path: (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else None) for path in folder.rglob("*")
    }


# MNIST as published


@pytest.mark.parametrize(("split", "n"), [("train", 60_000), ("test", 10_000)])
def test_mnist_has_the_published_sizes_types_and_classes(split, n):
    digits = load("mnist", split)
    assert digits.images.shape == (n, 1, 28, 28)
    assert digits.images.dtype == torch.float32
    assert digits.labels.shape == (n,)
    assert digits.labels.dtype == torch.int64
    assert len(digits) == n
    assert digits.labels.bincount().tolist() == CLASS_COUNTS[split]
    assert (digits.images.amin(), digits.images.amax()) == (0, 1)


def test_mnist_training_images_have_the_known_mean_and_deviation():
    images = load().images
    assert images.mean().item() == pytest.approx(0.1307, abs=5e-5)
    assert images.std().item() == pytest.approx(0.3081, abs=5e-5)


def test_mnist_images_are_the_archives_bytes():
    published = pixels(hw2.data.ASSETS / TEST_IMAGES)
    assert np.array_equal(load("mnist", "test").images.numpy(), published / np.float32(255))


def test_first_digits_and_the_homeworks_pairs():
    test = load("mnist", "test")
    assert test.labels[:5].tolist() == [7, 2, 1, 0, 4]
    assert {label: test.index_of(label) for label in (4, 6, 3, 7, 5, 8)} == {4: 4, 6: 11, 3: 18, 7: 0, 5: 8, 8: 61}


@pytest.mark.parametrize("archive", MNIST_MD5)
def test_embedded_archives_are_the_published_ones(archive):
    assert hashlib.md5((hw2.data.ASSETS / archive).read_bytes()).hexdigest() == MNIST_MD5[archive]


@pytest.mark.parametrize(
    ("name", "theirs"), [("mnist", "MNIST"), ("fashion-mnist", "FashionMNIST"), ("kmnist", "KMNIST")]
)
def test_sums_and_addresses_are_torchvisions(name, theirs):
    """What no test downloads is at least what others download."""
    from torchvision import datasets

    published = getattr(datasets, theirs)
    assert dict(zip(hw2.data.FILES, hw2.data.ARCHIVES[name], strict=True)) == dict(published.resources)
    assert name == "mnist" or hw2.data.MIRRORS[name] in published.mirrors


def test_the_licence_stands_beside_the_archives():
    text = " ".join(path.read_text(encoding="utf-8") for path in hw2.data.ASSETS.glob("LICENSE*"))
    assert "CC BY-SA 3.0" in text or "Attribution-ShareAlike 3.0" in text
    assert all(name in text for name in ("LeCun", "Cortes", "Burges"))


def test_default_is_the_mnist_training_split():
    assert load().digest() == load("mnist", "train").digest() != load("mnist", "test").digest()


@pytest.mark.parametrize("name", ["MNIST", "cifar10", "", "emnist", None])
def test_unknown_set_is_refused_and_the_known_are_named(name):
    with pytest.raises(ValueError, match=f"{name!r}.*mnist, fashion-mnist, kmnist"):
        load(name)


@pytest.mark.parametrize("split", ["validation", "t10k", "", True])
def test_unknown_split_is_refused_and_the_known_are_named(split):
    with pytest.raises(ValueError, match=f"{split!r}.*train, test"):
        load("mnist", split)


def run(script: str, **environment: str) -> str:
    """What a fresh Python prints."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"} | environment
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_mnist_writes_nothing_and_asks_nobody(tmp_path):
    """Python reports every opened file, new folder and connection; besides, these folders could not be made."""
    (tmp_path / "a file").touch()
    nowhere = str(tmp_path / "a file" / "folder")
    before = state(tmp_path)
    script = (
        "import os, sys, hw2\n"
        "seen = []\n"
        "def watch(event, args):\n"
        "    writes = event == 'open' and (args[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)\n"
        "    if writes or event.startswith(('os.', 'shutil.', 'tempfile.', 'socket.', 'subprocess.')):\n"
        "        seen.append((event, args))\n"
        "sys.addaudithook(watch)\n"
        "sizes = [len(hw2.load('mnist', split)) for split in ('train', 'test')]\n"
        "print(sizes, seen, 'pooch' in sys.modules)\n"
    )
    folders = dict.fromkeys(("HOME", "HW2_DATA", "HW2_CACHE", "XDG_CACHE_HOME"), nowhere)
    assert run(script, **folders) == "[60000, 10000] [] False\n"
    assert state(tmp_path) == before


AT_ONCE = (  # forked after the slow imports, so that they really start together
    "import json, multiprocessing, os, sys\n"
    "from pathlib import Path\n"
    "import pooch, requests, hw2.data\n"
    "tables = json.loads(os.environ.get('TABLES', '{}'))\n"
    "for table, entries in tables.items(): getattr(hw2.data, table).update(entries)\n"
    "hw2.data.SYSTEM = Path('nowhere')\n"
    "context = multiprocessing.get_context('fork')\n"
    "barrier, answers = context.Barrier(4), context.SimpleQueue()\n"
    "def run():\n"
    "    barrier.wait(60)\n"
    "    answers.put(hw2.load(os.environ['SET'], 'test').digest())\n"
    "processes = [context.Process(target=run) for _ in range(4)]\n"
    "for process in processes: process.start()\n"
    "for process in processes: process.join(60)\n"
    "for process in processes: print(process.exitcode, answers.get() if process.exitcode == 0 else '')\n"
)


@pytest.mark.slow
def test_processes_that_load_at_once_all_succeed(tmp_path):
    answers = run(AT_ONCE, SET="mnist", HW2_DATA=str(tmp_path / "data"))
    assert answers.splitlines() == [f"0 {load('mnist', 'test').digest()}"] * 4
    assert not (tmp_path / "data").exists()


# Tiny sets that are "published" for one test


def write_set(folder: Path, seed: int) -> Path:
    """Four archives, with three training and four test images."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    for part, count in (("train", 3), ("t10k", 4)):
        header = np.array([2051, count, 28, 28], ">i4").tobytes(), np.array([2049, count], ">i4").tobytes()
        body = random.integers(0, 256, (count, 28, 28), np.uint8), random.integers(0, 10, count, np.uint8)
        for kind, head, values in zip(("images-idx3", "labels-idx1"), header, body, strict=True):
            (folder / f"{part}-{kind}-ubyte.gz").write_bytes(gzip.compress(head + values.tobytes()))
    return folder


def md5s(folder: Path, content: bool = False) -> tuple[str, ...]:
    files = ((folder / file).read_bytes() for file in FILES)
    return tuple(hashlib.md5(gzip.decompress(file) if content else file).hexdigest() for file in files)


def compressed_anew(source: Path, target: Path) -> None:
    """As a distribution does: the same content, other bytes."""
    target.mkdir(parents=True, exist_ok=True)
    for path in source.iterdir():
        (target / path.name).write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), 1, mtime=1))
        assert (target / path.name).read_bytes() != path.read_bytes()


def damage(path: Path, how: str) -> None:
    content = bytearray(path.read_bytes())
    if how in ("missing", "a folder"):
        path.unlink()
        if how == "a folder":
            path.mkdir()
        return
    if how == "truncated":
        del content[-10:]
    elif how == "longer":
        content += b"\1"
    elif how == "flipped":
        content[len(content) // 2] ^= 1
    elif how == "emptied":
        content.clear()
    elif how == "not an archive":
        content[:] = b"<html>Please log in to this hotel's network</html>"
    elif how == "another set's":
        whole = bytearray(gzip.decompress(content))
        whole[-1] ^= 1
        content[:] = gzip.compress(whole)
    path.write_bytes(content)


DAMAGE = ["truncated", "longer", "flipped", "emptied", "not an archive", "another set's", "a folder"]


@pytest.fixture
def mnist(tmp_path, monkeypatch):
    """A package with three training and four test images: its assets."""
    assets = write_set(tmp_path / "assets", seed=0)
    monkeypatch.setattr(hw2.data, "ASSETS", assets)
    monkeypatch.setitem(hw2.data.ARCHIVES, "mnist", md5s(assets))
    return assets


@pytest.mark.parametrize("how", [*DAMAGE, "missing"])
@pytest.mark.parametrize("file", FILES)
def test_damaged_archive_is_said_with_path_and_remedy(file, how, mnist):
    load("mnist", split_of(file))
    damage(mnist / file, how)
    with pytest.raises(RuntimeError, match="install hw2 again") as caught:
        load("mnist", split_of(file))
    message = str(caught.value)
    assert f"{mnist / file} is {'missing' if how == 'missing' else 'damaged'}" in message
    assert hw2.data.ARCHIVES["mnist"][FILES.index(file)] in message
    assert len(load("mnist", "test" if split_of(file) == "train" else "train")) in (3, 4)  # the others are whole


def test_every_flipped_bit_of_a_label_archive_is_refused(mnist):
    content = (mnist / TEST_LABELS).read_bytes()
    for position in range(8 * len(content)):
        flipped = bytearray(content)
        flipped[position // 8] ^= 1 << position % 8
        (mnist / TEST_LABELS).write_bytes(flipped)
        with pytest.raises(RuntimeError, match="is damaged"):
            load("mnist", "test")


def test_package_folder_is_only_read(mnist, tmp_path):
    """It may belong to root, or lie in a zip's cache."""
    damage(mnist / TRAIN_LABELS, "flipped")
    before = state(tmp_path)
    load("mnist", "test")
    with pytest.raises(RuntimeError):
        load("mnist", "train")
    assert state(tmp_path) == before


# Sets that are in a folder


@pytest.fixture
def fashion(tmp_path, monkeypatch):
    """A published Fashion-MNIST of three training images, the folder it belongs into, and the system's; no network."""
    published = write_set(tmp_path / "published", seed=1)
    monkeypatch.setitem(hw2.data.ARCHIVES, "fashion-mnist", md5s(published))
    monkeypatch.setitem(hw2.data.CONTENTS, "fashion-mnist", md5s(published, content=True))
    monkeypatch.setitem(hw2.data.MIRRORS, "fashion-mnist", f"http://127.0.0.1:{closed_port()}/")
    monkeypatch.setattr(hw2.data, "SYSTEM", tmp_path / "system")
    monkeypatch.setenv("HW2_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(pooch.core, "time", SimpleNamespace(sleep=lambda _seconds: None))  # between its tries
    return SimpleNamespace(
        published=published,
        folder=tmp_path / "data" / "fashion-mnist",
        system=tmp_path / "system" / "fashion-mnist",
        images=pixels(published / TRAIN_IMAGES),
    )


def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def is_whole(fashion) -> bool:
    """Whether both splits load, and the images are the published ones."""
    train, test = (load("fashion-mnist", split) for split in ("train", "test"))
    assert (len(train), len(test)) == (3, 4)
    return np.array_equal(np.rint(train.images.numpy() * 255), fashion.images)


def place(source: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for path in source.iterdir():
        (target / path.name).write_bytes(path.read_bytes())


@pytest.mark.parametrize("copied", [place, compressed_anew])
def test_set_placed_by_hand_is_loaded_and_left_alone(copied, fashion, tmp_path):
    copied(fashion.published, fashion.folder)
    before = state(tmp_path)
    assert is_whole(fashion)
    assert state(tmp_path) == before


@pytest.mark.parametrize("copied", [place, compressed_anew])
def test_systems_package_is_read_where_it_is(copied, fashion, tmp_path):
    copied(fashion.published, fashion.system)
    before = state(tmp_path)
    assert is_whole(fashion)
    assert state(tmp_path) == before


def test_archive_compressed_anew_is_refused_where_its_content_is_not_known(fashion, monkeypatch):
    monkeypatch.delitem(hw2.data.CONTENTS, "fashion-mnist")
    compressed_anew(fashion.published, fashion.folder)
    with pytest.raises(RuntimeError, match="MD5 is not the published one"):
        load("fashion-mnist", "train")
    place(fashion.published, fashion.folder)
    assert is_whole(fashion)


def test_without_hw2_data_the_set_is_in_the_users_cache(fashion, tmp_path, monkeypatch):
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / "cache" / project)
    place(fashion.published, tmp_path / "cache" / "hw2" / "data" / "fashion-mnist")
    for unset in (lambda: monkeypatch.setenv("HW2_DATA", ""), lambda: monkeypatch.delenv("HW2_DATA")):
        unset()
        assert is_whole(fashion)


def test_hw2_data_may_begin_with_the_home_folder(fashion, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("HW2_DATA", "~/mine")
    place(fashion.published, tmp_path / "mine" / "fashion-mnist")
    assert is_whole(fashion)


@pytest.mark.parametrize("how", [*(how for how in DAMAGE if how != "longer"), "missing"])
@pytest.mark.parametrize("file", [TRAIN_IMAGES, TRAIN_LABELS])
def test_damaged_set_placed_by_hand_is_said_with_paths_and_remedy(file, how, fashion):
    place(fashion.published, fashion.folder)
    damage(fashion.folder / file, how)
    before = state(fashion.folder)
    with pytest.raises(RuntimeError) as caught:
        load("fashion-mnist", "train")
    message = str(caught.value)
    assert f"{fashion.folder / file} is {'missing' if how == 'missing' else 'damaged'}" in message
    assert f"{fashion.system / file} is missing" in message
    assert f"{hw2.data.MIRRORS['fashion-mnist']}{file} could not be downloaded" in message
    assert (
        f"Put the published archive (MD5 {md5s(fashion.published)[FILES.index(file)]}) into {fashion.folder}" in message
    )
    assert "HW2_DATA" in message
    assert (how == "a folder") == ("directory" in message)
    assert state(fashion.folder) == before
    assert len(load("fashion-mnist", "test")) == 4


def test_bytes_after_an_archive_do_no_harm_where_the_content_is_known(fashion):
    """Gzip itself forgives zeros there, and nothing else."""
    place(fashion.published, fashion.folder)
    for file in FILES:
        with (fashion.folder / file).open("ab") as archive:
            archive.write(bytes(3))
    assert is_whole(fashion)
    damage(fashion.folder / TRAIN_IMAGES, "longer")
    with pytest.raises(RuntimeError, match="is damaged"):
        load("fashion-mnist", "train")


@pytest.mark.parametrize("how", [*DAMAGE, "missing"])
def test_systems_package_stands_in_for_a_damaged_archive(how, fashion):
    place(fashion.published, fashion.folder)
    compressed_anew(fashion.published, fashion.system)
    damage(fashion.folder / TRAIN_IMAGES, how)
    before = state(fashion.folder)
    assert is_whole(fashion)
    assert state(fashion.folder) == before


@pytest.mark.parametrize("how", DAMAGE)
def test_damaged_package_of_the_system_is_said_or_made_up_for(how, fashion, mirror):
    compressed_anew(fashion.published, fashion.system)
    damage(fashion.system / TRAIN_IMAGES, how)
    with pytest.raises(RuntimeError, match="is damaged") as caught:
        load("fashion-mnist", "train")
    assert str(fashion.system / TRAIN_IMAGES) in str(caught.value)
    mirror(whole(fashion))
    assert is_whole(fashion)
    assert [path.name for path in fashion.folder.iterdir()] == [TRAIN_IMAGES]


def test_archive_that_may_not_be_read_is_said_or_made_up_for(fashion, monkeypatch):
    place(fashion.published, fashion.folder)
    read = Path.read_bytes

    def refuse(path):
        if path == fashion.folder / TRAIN_IMAGES:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(RuntimeError, match=f"{TRAIN_IMAGES} is .*unreadable.*Permission denied"):
        load("fashion-mnist", "train")
    compressed_anew(fashion.published, fashion.system)
    assert is_whole(fashion)


def test_folder_that_cannot_be_made_is_said_with_the_remedy(fashion, tmp_path, monkeypatch):
    (tmp_path / "a file").touch()
    monkeypatch.setenv("HW2_DATA", str(tmp_path / "a file" / "data"))
    with pytest.raises(RuntimeError, match=r"a file.*set HW2_DATA to another folder"):
        load("fashion-mnist", "test")


@pytest.mark.skipif(
    not (hw2.data.SYSTEM / "fashion-mnist").exists(), reason="Debian's dataset-fashion-mnist is not installed"
)
def test_debians_fashion_mnist_is_the_published_one():
    train, test = (load("fashion-mnist", split) for split in ("train", "test"))
    assert (len(train), len(test)) == (60_000, 10_000)
    assert train.images.mean().item() == pytest.approx(0.2860, abs=5e-5)
    assert train.images.std().item() == pytest.approx(0.3530, abs=5e-5)
    assert train.labels.bincount().tolist() == [6000] * 10
    assert test.labels.bincount().tolist() == [1000] * 10
    assert test.labels[:5].tolist() == [9, 2, 1, 1, 6]


# Sets that are downloaded


class Mirror(BaseHTTPRequestHandler):
    """Answers as its server's `answer` says."""

    def do_GET(self):
        self.server.asked.append(self.path.lstrip("/"))
        status, body = self.server.answer(self.path.lstrip("/"))
        if status == "not HTTP":
            self.wfile.write(body)
            return
        if status == "silent":
            self.server.closing.wait(10)
            return
        self.send_response(status if isinstance(status, int) else 200)
        self.send_header("Content-Length", str(len(body) + 1000 * (status == "short")))
        self.end_headers()
        with contextlib.suppress(OSError):  # the other side has given up
            if status == "stalls":
                self.wfile.write(body[: len(body) // 2])
                self.server.closing.wait(10)
            else:
                self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def mirror(monkeypatch):
    """Starts Fashion-MNIST's server, here; it answers name with (status, bytes). Returns the list of what was asked."""
    servers = []

    def start(answer) -> list[str]:
        server = ThreadingHTTPServer(("127.0.0.1", 0), Mirror)
        server.answer, server.asked, server.closing = answer, [], threading.Event()
        servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        monkeypatch.setitem(hw2.data.MIRRORS, "fashion-mnist", f"http://127.0.0.1:{server.server_address[1]}/")
        return server.asked

    yield start
    for server in servers:
        server.closing.set()
        server.shutdown()
        server.server_close()


def whole(fashion):
    return lambda name: (200, (fashion.published / name).read_bytes())


@contextlib.contextmanager
def bounded(seconds: float):
    """A limit from far away: the server alone would take longer."""
    start = time.monotonic()
    yield
    assert time.monotonic() - start < seconds


@pytest.fixture
def impatient(monkeypatch):
    """A silence is over in a hundredth of the time that hw2 asks for. No bar: one that failed prints at its end."""
    patient = pooch.HTTPDownloader
    monkeypatch.setattr(pooch, "HTTPDownloader", lambda timeout, progressbar: patient(timeout=timeout / 100))


BAD_MIRRORS = {
    "has nothing": lambda _name: (404, b"not here"),
    "is broken": lambda _name: (500, b""),
    "is busy": lambda _name: (503, b"try again later"),
    "has something else": lambda _name: (200, b"<html>Please log in to this hotel's network</html>"),
    "has nothing in it": lambda _name: (200, b""),
    "speaks another protocol": lambda _name: ("not HTTP", b"SSH-2.0-OpenSSH_9.2\r\n"),
    "refuses": lambda _name: (403, b"rate limited"),
    "says nothing": lambda _name: ("silent", b""),
    "stops in the middle": lambda _name: ("stalls", bytes(1000)),
    "ends too early": lambda _name: ("short", bytes(1000)),
    "sends other bytes": lambda _name: (200, bytes(5000)),
}


def test_first_use_downloads_and_keeps(fashion, mirror):
    asked = mirror(whole(fashion))
    assert len(load("fashion-mnist", "train")) == 3
    assert asked == [TRAIN_IMAGES, TRAIN_LABELS]
    assert sorted(path.name for path in fashion.folder.iterdir()) == asked
    assert all((fashion.folder / file).read_bytes() == (fashion.published / file).read_bytes() for file in asked)
    assert is_whole(fashion)
    assert is_whole(fashion)
    assert asked == list(FILES)  # each once


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("bad", BAD_MIRRORS)
def test_download_is_tried_three_times(bad, fashion, mirror):
    answers = iter([BAD_MIRRORS[bad], BAD_MIRRORS[bad]])
    asked = mirror(lambda name: next(answers, whole(fashion))(name))
    assert len(load("fashion-mnist", "train")) == 3
    assert asked == [TRAIN_IMAGES] * 3 + [TRAIN_LABELS]
    assert sorted(path.name for path in fashion.folder.iterdir()) == [TRAIN_IMAGES, TRAIN_LABELS]
    assert (fashion.folder / TRAIN_IMAGES).read_bytes() == (fashion.published / TRAIN_IMAGES).read_bytes()


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("bad", BAD_MIRRORS)
def test_a_bad_mirror_leaves_nothing_behind_and_takes_bounded_time(bad, fashion, mirror):
    asked = mirror(BAD_MIRRORS[bad])
    with bounded(seconds=6), pytest.raises(RuntimeError) as caught:
        load("fashion-mnist", "train")
    message = str(caught.value)
    assert f"{fashion.folder / TRAIN_IMAGES} is missing" in message
    assert f"{hw2.data.MIRRORS['fashion-mnist']}{TRAIN_IMAGES} could not be downloaded" in message
    assert f"Put the published archive (MD5 {md5s(fashion.published)[0]}) into {fashion.folder}" in message
    assert asked == [TRAIN_IMAGES] * 3
    assert list(fashion.folder.iterdir()) == []


def test_without_a_network_the_remedy_is_said(fashion):
    with pytest.raises(RuntimeError, match=r"could not be downloaded.*Put the published archive"):
        load("fashion-mnist", "test")
    assert list(fashion.folder.iterdir()) == []
    place(fashion.published, fashion.folder)
    assert is_whole(fashion)


@pytest.mark.parametrize("how", DAMAGE)
def test_damaged_download_is_fetched_again(how, fashion, mirror):
    asked = mirror(whole(fashion))
    place(fashion.published, fashion.folder)
    archive = fashion.folder / TRAIN_IMAGES
    damage(archive, how)
    if how == "a folder":
        with pytest.raises(RuntimeError, match=rf"{TRAIN_IMAGES} is damaged.*directory"):
            load("fashion-mnist", "train")
        assert list(archive.iterdir()) == []
        archive.rmdir()
    assert is_whole(fashion)
    assert archive.read_bytes() == (fashion.published / TRAIN_IMAGES).read_bytes()
    assert sorted(path.name for path in fashion.folder.iterdir()) == sorted(FILES)
    assert asked == [TRAIN_IMAGES]


@pytest.mark.parametrize(
    ("interruption", "error", "match"),
    [
        (KeyboardInterrupt(), KeyboardInterrupt, None),
        (OSError(errno.ENOSPC, "No space left on device"), RuntimeError, "No space left on device.*Put the published"),
    ],
    ids=["Ctrl-C", "a full disk"],
)
def test_interrupted_download_leaves_nothing_behind(interruption, error, match, fashion, monkeypatch):
    def downloader(**_options):
        def download(_url, target, _pooch):
            Path(target).write_bytes((fashion.published / TRAIN_IMAGES).read_bytes()[:100])
            raise interruption

        return download

    monkeypatch.setattr(pooch, "HTTPDownloader", downloader)
    with pytest.raises(error, match=match):
        load("fashion-mnist", "train")
    assert list(fashion.folder.iterdir()) == []


@pytest.mark.slow
def test_processes_that_download_at_once_all_succeed(fashion, mirror):
    mirror(whole(fashion))
    tables = {table: {"fashion-mnist": getattr(hw2.data, table)["fashion-mnist"]} for table in ("ARCHIVES", "MIRRORS")}
    answers = run(AT_ONCE, SET="fashion-mnist", TABLES=json.dumps(tables)).splitlines()
    assert answers == [f"0 {load('fashion-mnist', 'test').digest()}"] * 4
    assert sorted(path.name for path in fashion.folder.iterdir()) == [TEST_IMAGES, TEST_LABELS]


# Digits


@pytest.mark.parametrize(
    "rows", [slice(3), slice(None, None, 5), [4, 2, 2], torch.tensor([7]), torch.arange(48) % 3 == 0]
)
def test_selecting_rows_takes_images_and_labels_together(rows, digits):
    part = digits[rows]
    assert isinstance(part, Digits)
    assert torch.equal(part.images, digits.images[rows])
    assert torch.equal(part.labels, digits.labels[rows])
    assert len(part) == len(part.labels)


@pytest.mark.parametrize("row", [0, 3, -1])
def test_one_row_is_ambiguous(row, digits):
    with pytest.raises(TypeError, match=rf"digits\[{row}\]") as caught:
        digits[row]
    advised = re.search(r"use digits\[(.*?):(.*?)\]", str(caught.value))
    assert torch.equal(digits[int(advised[1]) : int(advised[2]) if advised[2] else None].images[0], digits.images[row])


def test_no_rows_are_refused(digits):
    with pytest.raises(ValueError, match=r"\(0, 1, 28, 28\)"):
        digits[48:]


def test_a_slice_travels_alone(make_digits):
    """Not with the storage of all that it was cut from."""
    whole = make_digits(1000)
    part = whole[:10]
    travelled = pickle.dumps(part)
    assert len(travelled) < 10 * 784 * 4 + 5000
    back = pickle.loads(travelled)
    assert torch.equal(back.images, part.images)
    assert torch.equal(back.labels, part.labels)
    assert pickle.loads(pickle.dumps(whole)).digest() == whole.digest()


def test_index_of_counts_from_zero_in_order(digits):
    assert [digits.index_of(3, nth) for nth in range(5)] == [3, 13, 23, 33, 43]
    assert digits[20:].index_of(3) == 3


@pytest.mark.parametrize(("label", "nth", "n"), [(3, 5, 5), (3, -1, 5), (11, 0, 0)])
def test_index_of_what_is_not_there_is_refused(label, nth, n, digits):
    with pytest.raises(IndexError, match=f"class {label} has {n} images"):
        digits.index_of(label, nth)


@pytest.mark.parametrize(
    ("images", "error", "match"),
    [
        (torch.zeros(2, 28, 28), ValueError, r"\(N, 1, 28, 28\).*\(2, 28, 28\)"),
        (torch.zeros(2, 3, 28, 28), ValueError, r"\(2, 3, 28, 28\)"),
        (torch.zeros(2, 1, 32, 32), ValueError, r"\(2, 1, 32, 32\)"),
        (torch.zeros(2, 784), ValueError, r"\(2, 784\)"),
        (torch.zeros(0, 1, 28, 28), ValueError, "N >= 1"),
        (torch.zeros(2, 1, 28, 28, dtype=torch.uint8), TypeError, "uint8.*divide by 255"),
        (torch.zeros(2, 1, 28, 28, dtype=torch.float64), TypeError, "float64.*float()"),
        (torch.zeros(2, 1, 28, 28, dtype=torch.bfloat16), TypeError, "bfloat16"),
        (np.zeros((2, 1, 28, 28), np.float32), TypeError, "ndarray"),
        ([[0.0]], TypeError, "list"),
        (torch.full((2, 1, 28, 28), 255.0), ValueError, r"\[255, 255\].*divide by 255"),
        (torch.full((2, 1, 28, 28), -0.01), ValueError, r"\[0, 1\].*-0\.01"),
        (torch.full((2, 1, 28, 28), 1.001), ValueError, r"1\.001"),
        (torch.full((2, 1, 28, 28), float("nan")), ValueError, "NaN in 2 of 2"),
        (torch.full((2, 1, 28, 28), float("inf")), ValueError, "inf"),
    ],
)
def test_images_that_are_none_are_refused(images, error, match):
    with pytest.raises(error, match=match):
        Digits(images, torch.zeros(2, dtype=torch.int64))


@pytest.mark.parametrize(
    "labels",
    [
        torch.zeros(3, dtype=torch.int64),
        torch.zeros(2, 1, dtype=torch.int64),
        torch.zeros(2, dtype=torch.int32),
        torch.zeros(2),
        [0, 1],
        np.zeros(2, np.int64),
        None,
    ],
    ids=lambda labels: f"{type(labels).__name__} {getattr(labels, 'dtype', '')} {getattr(labels, 'shape', '')}",
)
def test_labels_that_are_none_are_refused(labels):
    with pytest.raises((TypeError, ValueError), match="labels must be"):
        Digits(torch.zeros(2, 1, 28, 28), labels)


def test_digits_cannot_be_replaced(digits):
    with pytest.raises(AttributeError):
        digits.images = digits.images


# The digest


def fresh(digits: Digits) -> str:
    """The digest of the same pixels and labels, computed without hw2."""
    sha = hashlib.sha256(digits.images.detach().cpu().contiguous().numpy().tobytes())
    sha.update(digits.labels.cpu().contiguous().numpy().tobytes())
    return sha.hexdigest()


def test_digest_depends_on_every_pixel_and_label(make_digits):
    first, again = make_digits(5), make_digits(5)
    assert first.digest() == again.digest() == fresh(first)
    again.images[4, 0, 27, 27] += 1e-6
    assert first.digest() != again.digest()
    other = Digits(first.images, first.labels.roll(1))
    assert first.digest() != other.digest()
    assert first[1:4].digest() == Digits(first.images[1:4].clone(), first.labels[1:4].clone()).digest()
    assert first[[0, 1]].digest() != first[[1, 0]].digest()


def write_in_inference_mode(digits: Digits) -> None:
    with torch.inference_mode():
        digits.images[2] = 0


WRITES = {
    "a pixel": lambda digits: digits.images[2, 0, 3, 3].fill_(0.5),
    "all pixels": lambda digits: digits.images.mul_(0.5),
    "a label": lambda digits: digits.labels[2].fill_(7),
    "a view": lambda digits: digits.images.view(5, 784)[2].zero_(),
    "a slice of the set": lambda digits: digits[1:3].labels[1].fill_(7),
    "detached": lambda digits: digits.images.detach()[2].zero_(),
    "by NumPy": lambda digits: digits.images.numpy().__imul__(0.5),
    "past the version": lambda digits: digits.images.data.mul_(0.5),
    "as an output": lambda digits: torch.mul(digits.images, 0.5, out=digits.images),
    "in inference mode": write_in_inference_mode,
}


@pytest.mark.parametrize("how", WRITES)
def test_digest_is_computed_again_after_a_write(how, make_digits):
    digits = make_digits(5)
    part, before = digits[1:4], digits.digest()
    of_part = part.digest()
    WRITES[how](digits)
    assert digits.digest() == fresh(digits) != before
    assert part.digest() == fresh(part) != of_part  # its rows were written to


def test_digest_of_what_was_copied_is_its_own(make_digits):
    digits = make_digits(5)
    before = digits.digest()
    for other in (copy.deepcopy(digits), pickle.loads(pickle.dumps(digits)), digits[torch.arange(5)]):
        assert other.digest() == before
        other.images[0] = 0
        assert other.digest() == fresh(other) != before
    assert digits.digest() == before


def test_digest_in_inference_mode(make_digits):
    """Torch does not count writes to a tensor that was made there."""
    digits = make_digits(5)
    with torch.inference_mode():
        same = Digits(digits.images.clone(), digits.labels.clone())
        assert same.digest() == digits.digest() == fresh(digits)
        for tensor in (same.images, same.labels):
            before = same.digest()
            tensor[0] = 1
            assert same.digest() == fresh(same) != before
    assert same.digest() == fresh(same)


@pytest.mark.parametrize(
    "change",
    [
        lambda images: images.transpose(2, 3).contiguous().transpose(2, 3),
        lambda images: images.contiguous(memory_format=torch.channels_last),
        lambda images: images.clone().requires_grad_(),
        lambda images: images.flip(0).flip(0),
    ],
    ids=["columns first", "channels last", "with a gradient", "copied"],
)
def test_digest_is_of_the_values_not_of_how_they_lie(change, make_digits):
    digits = make_digits(5)
    assert Digits(change(digits.images), digits.labels).digest() == digits.digest()


@functools.cache
def has(device: str) -> bool:
    """Torch's "lazy" is a second device on the CPU, which most builds have: NumPy cannot look into its tensors."""
    if device == "lazy":
        with contextlib.suppress(ImportError, RuntimeError):
            importlib.import_module("torch._lazy.ts_backend").init()
            return True
    return device == "cuda" and torch.cuda.is_available()


@pytest.mark.parametrize("device", ["lazy", "cuda"])
def test_digest_is_the_same_on_another_device(device, make_digits):
    if not has(device):
        pytest.skip(f"no device {device}")
    digits = make_digits(5)
    there = Digits(digits.images.to(device), digits.labels.to(device))
    with pytest.raises((TypeError, RuntimeError)):
        there.images.numpy()
    assert there.digest() == digits.digest()
    there.labels[1] = 7
    digits.labels[1] = 7
    assert there.digest() == digits.digest() == fresh(digits)


# What people have instead of Digits


def pairs(digits: Digits) -> torch.utils.data.TensorDataset:
    return torch.utils.data.TensorDataset(digits.images, digits.labels)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda d: pairs(d),
        lambda d: torch.utils.data.Subset(pairs(d), range(len(d))),
        lambda d: torch.utils.data.DataLoader(pairs(d), batch_size=5),
        lambda d: list(zip(d.images, d.labels.tolist(), strict=True)),
    ],
    ids=["Dataset", "Subset", "DataLoader", "list of pairs"],
)
def test_digits_of_a_dataset_are_its_images_in_order(wrap, digits):
    found = Digits.of(wrap(digits))
    assert torch.equal(found.images, digits.images)
    assert torch.equal(found.labels, digits.labels)


def test_digits_of_a_dataset_without_an_end(digits):
    """A Dataset has a length, and may answer any index."""

    class Endless(torch.utils.data.Dataset):
        def __len__(self):
            return 3

        def __getitem__(self, i):
            return digits.images[i % 3], i % 3

    assert Digits.of(Endless()).labels.tolist() == [0, 1, 2]


@pytest.mark.parametrize("item", [("a picture", 3), (np.zeros((28, 28)), 3), 7, (torch.zeros(1, 28, 28),)])
def test_digits_of_what_is_not_tensors_says_which_transform_makes_it_so(item):
    with pytest.raises(TypeError, match=r"item 0 must be .*ToTensor\(\)"):
        Digits.of([item])


@pytest.mark.parametrize(
    ("change", "remedy"),
    [
        (lambda x: (x - 0.1307) / 0.3081, r"normalised with 0\.1307 and 0\.3081.*images \* 0\.3081 \+ 0\.1307"),
        (lambda x: (x - 0.5) / 0.5, r"normalised with 0\.5 and 0\.5"),
        (lambda x: x * 255, "divide by 255"),
        (lambda x: x.repeat(1, 3, 1, 1), r"RGB.*mean\(1, keepdim=True\)"),
        (lambda x: x[:, 0], r"unsqueeze\(1\)"),
        (lambda x: x.flatten(1), r"view\(-1, 1, 28, 28\)"),
        (lambda x: torch.nn.functional.interpolate(x, size=32), "28 × 28.*size=28"),
        (lambda x: (x * 255).byte(), r"divide by 255 after \.float\(\)"),
        (lambda x: x.numpy(), r"torch\.from_numpy"),
    ],
)
def test_what_is_met_often_comes_with_its_remedy(change, remedy, digits):
    images = digits.images.clone()
    images[0, 0, 0, :2] = torch.tensor([0.0, 1.0])  # as digits have
    with pytest.raises((TypeError, ValueError), match=remedy):
        Digits(change(images), digits.labels)


def test_the_remedy_for_normalised_images_restores_them(digits):
    normalised = (digits.images - 0.1307) / 0.3081
    restored = (normalised * 0.3081 + 0.1307).clamp(0, 1)
    torch.testing.assert_close(Digits(restored, digits.labels).images, digits.images)


def test_a_split_of_digits_is_digits(digits):
    part, _ = torch.utils.data.random_split(digits, [40, 8], torch.Generator().manual_seed(0))
    found = Digits.of(part)
    assert torch.equal(found.images, digits.images[part.indices])
    assert Digits.of(digits) is digits


@pytest.mark.parametrize("index", [3, np.int64(3), torch.tensor(3)])
def test_one_number_is_ambiguous(index, digits):
    with pytest.raises(TypeError, match="is ambiguous"):
        digits[index]


def test_an_empty_selection_says_so(digits):
    with pytest.raises(ValueError, match="there is no image"):
        digits[digits.labels == 30]


@pytest.mark.parametrize("rows", [[7, 9, 11], range(40), torch.tensor([7, 9, 11]), torch.arange(40), ()])
def test_a_subset_of_digits_by_any_indices(rows, digits):
    part = torch.utils.data.Subset(digits, rows)
    if not len(rows):
        with pytest.raises(ValueError, match="there is no image"):
            Digits.of(part)
        return
    wanted = torch.as_tensor(rows)
    assert torch.equal(Digits.of(part).images, digits.images[wanted])
    inner = torch.utils.data.Subset(part, [2, 0])
    assert torch.equal(Digits.of(inner).labels, digits.labels[wanted[[2, 0]]])


@pytest.mark.parametrize("kind", [tuple, set, iter, np.array])
def test_any_numbers_of_images_are_taken(kind, digits):
    assert torch.equal(digits[kind([0, 3])].images, digits.images[[0, 3]])


def test_digits_of_a_stream_without_a_length(digits):
    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self):
            return zip(digits.images, digits.labels, strict=True)

    assert torch.equal(Digits.of(Stream()).images, digits.images)
