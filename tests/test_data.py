"""The published digits, and what happens to files that are missing, damaged or shared. Nothing leaves the machine."""

import contextlib
import gzip
import hashlib
import os
import pickle
import shutil
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision import datasets

import hw2.data
from hw2 import Digits, load

PUBLISHED_MD5 = {  # as on the page of the data set, http://yann.lecun.com/exdb/mnist, and in torchvision
    "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
}
CLASS_COUNTS = {
    "train": [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
    "test": [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009],
}


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Looking up any name but this machine's fails the test."""
    lookup = socket.getaddrinfo

    def only_local(host, *args, **kwargs):
        if host not in (None, "", "127.0.0.1", "localhost"):
            raise AssertionError(f"a test asked the network for {host}")
        return lookup(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", only_local)
    monkeypatch.setenv("no_proxy", "*")


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
    with gzip.open(hw2.data.ASSETS / "t10k-images-idx3-ubyte.gz") as file:
        published = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 1, 28, 28)
    assert np.array_equal(np.rint(load("mnist", "test").images.numpy() * 255), published)


def test_first_digits_and_the_homeworks_pairs():
    test = load("mnist", "test")
    assert test.labels[:5].tolist() == [7, 2, 1, 0, 4]
    assert {label: test.index_of(label) for label in (4, 6, 3, 7, 5, 8)} == {4: 4, 6: 11, 3: 18, 7: 0, 5: 8, 8: 61}


@pytest.mark.parametrize("archive", PUBLISHED_MD5)
def test_embedded_archives_are_the_published_ones(archive):
    assert hashlib.md5((hw2.data.ASSETS / archive).read_bytes()).hexdigest() == PUBLISHED_MD5[archive]


def test_the_licence_stands_beside_the_archives():
    text = " ".join(path.read_text(encoding="utf-8") for path in hw2.data.ASSETS.glob("LICENSE*"))
    assert "CC BY-SA 3.0" in text or "Attribution-ShareAlike 3.0" in text
    assert all(name in text for name in ("LeCun", "Cortes", "Burges"))


def test_default_is_the_mnist_training_split():
    assert load().digest() == load("mnist", "train").digest() != load("mnist", "test").digest()


# Tiny sets that are "published" for one test


def write_set(folder: Path, n: int, seed: int) -> dict[str, str]:
    """Four archives with n training and n + 1 test images, and their MD5."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    for prefix, count in (("train", n), ("t10k", n + 1)):
        header = np.array([2051, count, 28, 28], ">i4").tobytes(), np.array([2049, count], ">i4").tobytes()
        body = random.integers(0, 256, (count, 28, 28), np.uint8), random.integers(0, 10, count, np.uint8)
        for kind, head, values in zip(("images-idx3", "labels-idx1"), header, body, strict=True):
            (folder / f"{prefix}-{kind}-ubyte.gz").write_bytes(gzip.compress(head + values.tobytes()))
    return {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


@pytest.fixture
def mnist(tmp_path, monkeypatch):
    """A package with three training and four test images: its assets and the folder it extracts to."""
    assets, data = tmp_path / "assets", tmp_path / "data"
    md5 = write_set(assets, 3, seed=0)
    monkeypatch.setattr(hw2.data, "ASSETS", assets)
    monkeypatch.setattr(datasets.MNIST, "resources", list(md5.items()))
    monkeypatch.setenv("HW2_DATA", str(data))
    return assets, data / "MNIST" / "raw"


@pytest.fixture
def fashion(tmp_path, monkeypatch):
    """A published Fashion-MNIST of three training images: its archives, and the folder they belong into."""
    archives = tmp_path / "published"
    md5 = write_set(archives, 3, seed=1)
    monkeypatch.setattr(datasets.FashionMNIST, "resources", list(md5.items()))
    monkeypatch.setattr(datasets.FashionMNIST, "mirrors", [f"http://127.0.0.1:{closed_port()}/"])
    monkeypatch.setenv("HW2_DATA", str(tmp_path / "data"))
    return archives, tmp_path / "data" / "FashionMNIST" / "raw"


def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextlib.contextmanager
def bounded(seconds: float):
    """A limit from far away: the server alone would take longer."""
    start = time.monotonic()
    yield
    assert time.monotonic() - start < seconds


def damage(path: Path, how: str) -> None:
    content = bytearray(path.read_bytes())
    if how == "missing":
        path.unlink()
        return
    if how == "truncated":
        del content[-10:]
    elif how == "longer":
        content += b"\0"
    elif how == "flipped":
        content[len(content) // 2] ^= 1
    elif how == "emptied":
        content.clear()
    elif how == "a folder":
        path.unlink()
        path.mkdir()
        return
    path.write_bytes(content)


EXTRACTED = [name.removesuffix(".gz") for name in PUBLISHED_MD5]


@pytest.mark.parametrize("how", ["truncated", "longer", "flipped", "emptied", "missing"])
@pytest.mark.parametrize("file", EXTRACTED)
def test_damaged_extracted_file_is_repaired(file, how, mnist):
    assets, raw = mnist
    before = {split: load("mnist", split).digest() for split in ("train", "test")}
    damage(raw / file, how)
    assert {split: load("mnist", split).digest() for split in ("train", "test")} == before
    for name in EXTRACTED:
        assert (raw / name).read_bytes() == gzip.decompress((assets / f"{name}.gz").read_bytes())
    assert sorted(path.name for path in raw.iterdir()) == sorted(EXTRACTED)


@pytest.mark.parametrize("file", EXTRACTED)
def test_extracted_file_that_cannot_be_read_is_repaired(file, mnist, monkeypatch):
    _, raw = mnist
    before = {split: load("mnist", split).digest() for split in ("train", "test")}
    read, refused = Path.read_bytes, []

    def refuse_once(path):
        if path.name == file and not refused:
            refused.append(path)
            raise PermissionError(13, "Permission denied", str(path))
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", refuse_once)
    assert {split: load("mnist", split).digest() for split in ("train", "test")} == before
    assert refused == [raw / file]


@pytest.mark.parametrize("file", EXTRACTED)
def test_folder_in_the_place_of_an_extracted_file_is_said_with_the_remedy(file, mnist):
    _, raw = mnist
    for split in ("train", "test"):
        load("mnist", split)
    damage(raw / file, "a folder")
    with pytest.raises(RuntimeError, match=f"{file}.*delete it if it is a folder"):
        load("mnist", "train" if file.startswith("train") else "test")


@pytest.mark.parametrize("how", ["truncated", "flipped", "emptied", "a folder"])
def test_damaged_download_is_fetched_again(how, fashion, mirror, monkeypatch):
    archives, raw = fashion
    shutil.copytree(archives, raw)
    whole = load("fashion-mnist", "train").digest()
    archive = raw / "train-images-idx3-ubyte.gz"
    damage(archive, how)
    good = mirror(lambda name: (200, (archives / name).read_bytes()))
    monkeypatch.setattr(datasets.FashionMNIST, "mirrors", [good])
    if how == "a folder":
        with pytest.raises(RuntimeError, match=r"train-images-idx3-ubyte\.gz is damaged.*(?s:.)*directory"):
            load("fashion-mnist", "train")
    else:
        assert load("fashion-mnist", "train").digest() == whole
        assert archive.read_bytes() == (archives / archive.name).read_bytes()


def test_every_flipped_bit_of_a_label_file_is_repaired(mnist):
    _, raw = mnist
    whole, file = load("mnist", "test").digest(), raw / "t10k-labels-idx1-ubyte"
    content = file.read_bytes()
    for position in range(8 * len(content)):
        flipped = bytearray(content)
        flipped[position // 8] ^= 1 << position % 8
        file.write_bytes(flipped)
        assert load("mnist", "test").digest() == whole
        assert file.read_bytes() == content


def test_whole_extracted_files_are_not_written_again(mnist):
    _, raw = mnist
    load("mnist", "train")
    before = {path: path.stat().st_ino for path in raw.iterdir()}
    load("mnist", "train")
    assert {path: path.stat().st_ino for path in raw.iterdir()} == before


@pytest.mark.parametrize("how", ["truncated", "flipped", "emptied", "missing"])
@pytest.mark.parametrize("archive", ["t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"])
def test_damaged_archive_is_said_with_path_and_remedy(archive, how, mnist):
    assets, raw = mnist
    load("mnist", "test")  # what was extracted earlier is not trusted without its archive
    damage(assets / archive, how)
    with pytest.raises(RuntimeError) as caught:
        load("mnist", "test")
    message = str(caught.value)
    assert str(assets / archive) in message
    assert ("missing" if how == "missing" else "damaged") in message
    assert str(raw) in message
    assert dict(datasets.MNIST.resources)[archive] in message


@pytest.mark.parametrize("how", ["flipped", "missing"])
def test_good_archive_in_the_cache_stands_in_for_a_damaged_one(how, mnist):
    assets, raw = mnist
    whole = load("mnist", "test").digest()
    archive = "t10k-images-idx3-ubyte.gz"
    shutil.copy(assets / archive, raw)
    damage(assets / archive, how)
    (raw / archive.removesuffix(".gz")).unlink()
    assert load("mnist", "test").digest() == whole


def test_package_folder_is_only_read(mnist):
    """It may belong to root, or lie in a zip's cache."""
    assets, _ = mnist
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in assets.iterdir()}
    damage(assets / "train-labels-idx1-ubyte.gz", "flipped")
    before.pop(assets / "train-labels-idx1-ubyte.gz")
    load("mnist", "test")
    with pytest.raises(RuntimeError):
        load("mnist", "train")
    after = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in assets.iterdir()}
    after.pop(assets / "train-labels-idx1-ubyte.gz")
    assert after == before


def test_files_go_where_hw2_data_says_and_nowhere_else(mnist, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HW2_DATA", str(tmp_path / "some" / "where else"))
    load("mnist", "test")
    here = {path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*")}
    assert here == {"assets", "some"}
    assert len(list((tmp_path / "some" / "where else").rglob("t10k-*"))) == 2


def test_folder_that_cannot_be_written_is_said_with_the_remedy(mnist, tmp_path, monkeypatch):
    (tmp_path / "a file").touch()
    monkeypatch.setenv("HW2_DATA", str(tmp_path / "a file" / "data"))
    with pytest.raises(RuntimeError, match=r"a file.*HW2_DATA"):
        load("mnist", "test")


def test_processes_that_load_for_the_first_time_at_once_all_succeed(tmp_path):
    """Four processes, forked after the slow imports so that they really start together, and an empty folder."""
    script = (
        "import multiprocessing, sys, torchvision, hw2\n"
        "context = multiprocessing.get_context('fork')\n"
        "barrier, answers = context.Barrier(4), context.SimpleQueue()\n"
        "def run():\n"
        "    barrier.wait(60)\n"
        "    answers.put(hw2.load('mnist', 'test').digest())\n"
        "processes = [context.Process(target=run) for _ in range(4)]\n"
        "for process in processes: process.start()\n"
        "for process in processes: process.join(60)\n"
        "for process in processes: print(process.exitcode, answers.get() if process.exitcode == 0 else '')\n"
    )
    environment = os.environ | {"HW2_DATA": str(tmp_path / "data"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=150)
    assert done.stdout.splitlines() == [f"0 {load('mnist', 'test').digest()}"] * 4, done.stderr
    assert sorted(path.suffix for path in (tmp_path / "data").rglob("*") if path.is_file()) == ["", ""]


# Sets that are downloaded


def test_set_that_cannot_be_downloaded_says_what_is_missing_and_where_to_put_it(fashion):
    _, raw = fashion
    with pytest.raises(RuntimeError) as caught:
        load("fashion-mnist", "test")
    message, archive = str(caught.value), "t10k-images-idx3-ubyte.gz"
    assert f"{raw / archive} is missing" in message
    assert f"into {raw}" in message
    assert dict(datasets.FashionMNIST.resources)[archive] in message
    assert datasets.FashionMNIST.mirrors[0] + archive in message
    assert not raw.exists() or list(raw.iterdir()) == []


def test_set_placed_by_hand_is_loaded(fashion):
    archives, raw = fashion
    shutil.copytree(archives, raw)
    train, test = (load("fashion-mnist", split) for split in ("train", "test"))
    assert (len(train), len(test)) == (3, 4)
    with gzip.open(archives / "train-images-idx3-ubyte.gz") as file:
        published = np.frombuffer(file.read(), np.uint8, offset=16).reshape(3, 1, 28, 28)
    assert np.array_equal(np.rint(train.images.numpy() * 255), published)


def test_damaged_set_placed_by_hand_is_said_to_be_damaged(fashion):
    archives, raw = fashion
    shutil.copytree(archives, raw)
    damage(raw / "train-labels-idx1-ubyte.gz", "flipped")
    with pytest.raises(RuntimeError, match=r"train-labels-idx1-ubyte\.gz is damaged"):
        load("fashion-mnist", "train")
    assert len(load("fashion-mnist", "test")) == 4


class Mirror(BaseHTTPRequestHandler):
    """Answers as its server's `answer` says."""

    def do_GET(self):
        status, body = self.server.answer(self.path.lstrip("/"))
        if status == "not HTTP":
            self.wfile.write(body)
            return
        if status == "silent":
            time.sleep(3)
            return
        self.send_response(status if isinstance(status, int) else 200)
        self.send_header("Content-Length", str(len(body) + 1000 * (status == "short")))
        self.end_headers()
        with contextlib.suppress(OSError):  # the other side has given up
            if status == "stalls":
                self.wfile.write(body[: len(body) // 2])
                time.sleep(3)
            elif status == "trickles":
                for byte in body[:60]:
                    self.wfile.write(bytes([byte]))
                    time.sleep(0.05)
            else:
                self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def mirror():
    """Starts a server on this machine that answers name with (status, bytes); returns its address."""
    servers = []

    def start(answer) -> str:
        server = ThreadingHTTPServer(("127.0.0.1", 0), Mirror)
        server.answer = answer
        servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return f"http://127.0.0.1:{server.server_address[1]}/"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


BAD_MIRRORS = {
    "has nothing": lambda _name: (404, b"not here"),
    "is broken": lambda _name: (500, b""),
    "has something else": lambda _name: (200, b"<html>Please log in to this hotel's network</html>"),
    "has nothing in it": lambda _name: (200, b""),
    "speaks another protocol": lambda _name: ("not HTTP", b"SSH-2.0-OpenSSH_9.2\r\n"),
    "refuses": lambda _name: (403, b"rate limited"),
    "says nothing": lambda _name: ("silent", b""),
    "stops in the middle": lambda _name: ("stalls", bytes(1000)),
    "sends a byte now and then": lambda _name: ("trickles", bytes(1000)),
    "ends too early": lambda _name: ("short", bytes(1000)),
    "sends other bytes": lambda _name: (200, bytes(5000)),
}


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(hw2.data, "SILENCE_S", 0.3)
    monkeypatch.setattr(hw2.data, "DOWNLOAD_S", 0.6)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("bad", BAD_MIRRORS)
def test_next_mirror_is_asked_when_one_fails(bad, fashion, mirror, monkeypatch):
    archives, raw = fashion
    good = mirror(lambda name: (200, (archives / name).read_bytes()))
    monkeypatch.setattr(datasets.FashionMNIST, "mirrors", [mirror(BAD_MIRRORS[bad]), good])
    assert len(load("fashion-mnist", "train")) == 3
    assert (raw / "train-images-idx3-ubyte.gz").read_bytes() == (archives / "train-images-idx3-ubyte.gz").read_bytes()
    monkeypatch.setattr(datasets.FashionMNIST, "mirrors", [])
    assert len(load("fashion-mnist", "train")) == 3  # kept: not downloaded again


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("bad", BAD_MIRRORS)
def test_a_bad_mirror_alone_leaves_nothing_behind_and_takes_bounded_time(bad, fashion, mirror, monkeypatch):
    _, raw = fashion
    monkeypatch.setattr(datasets.FashionMNIST, "mirrors", [mirror(BAD_MIRRORS[bad])])
    with bounded(seconds=2.5), pytest.raises(RuntimeError, match=r"(?s)is missing.*tried http://127"):
        load("fashion-mnist", "train")
    assert not raw.exists() or list(raw.iterdir()) == []


def test_mnist_never_asks_the_network(mnist, mirror, monkeypatch):
    assets, _ = mnist
    asked = []
    monkeypatch.setattr(datasets.MNIST, "mirrors", [mirror(lambda name: asked.append(name) or (404, b""))])
    load("mnist", "train")
    damage(assets / "train-labels-idx1-ubyte.gz", "missing")
    with pytest.raises(RuntimeError):
        load("mnist", "train")
    assert asked == []


@pytest.mark.parametrize("name", ["MNIST", "cifar10", "", "emnist", None])
def test_unknown_set_is_refused_and_the_known_are_named(name):
    with pytest.raises(ValueError, match=f"{name!r}.*mnist, fashion-mnist, kmnist"):
        load(name)


@pytest.mark.parametrize("split", ["validation", "t10k", "", True])
def test_unknown_split_is_refused_and_the_known_are_named(split):
    with pytest.raises(ValueError, match=f"{split!r}.*train, test"):
        load("mnist", split)


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
    with pytest.raises(TypeError, match=rf"digits\[{row}\]"):
        digits[row]


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


def test_digest_depends_on_every_pixel_and_label(make_digits):
    first, again = make_digits(5), make_digits(5)
    assert first.digest() == again.digest()
    again.images[4, 0, 27, 27] += 1e-6
    assert first.digest() != again.digest()
    other = Digits(first.images, first.labels.roll(1))
    assert first.digest() != other.digest()
    assert first[1:4].digest() == Digits(first.images[1:4].clone(), first.labels[1:4].clone()).digest()
    assert first[[0, 1]].digest() != first[[1, 0]].digest()
