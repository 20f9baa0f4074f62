"""Inject faults, many times, and count what was lost or silently wrong.

    python tools/evidence/stress.py            the files' campaigns, a few minutes
    python tools/evidence/stress.py notebooks  the notebooks' campaigns, over an hour on two cores
    python tools/evidence/stress.py NAME …     those named

Each campaign prints and keeps a row: fault, tries, outcome. It raises if anything was lost. Files are written in a
temporary folder only.
"""

import contextlib
import json
import multiprocessing
import os
import pickle
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import torch
from claims import NOTEBOOKS, ROOT, errors
from execute import prepare
from nbclient import NotebookClient

import hw2
from hw2.runs import Run, fit_with_checkpoint

RESULTS = Path(__file__).with_suffix(".json")
FORK = multiprocessing.get_context("fork")  # a child starts at once, without imports
CAMPAIGNS: dict[str, Callable[[Path], tuple[str, str, str]]] = {}
OF_NOTEBOOKS: list[str] = []


def campaign(function: Callable[[Path], tuple[str, str, str]]) -> Callable:
    """A function that takes an empty folder and returns fault, tries and outcome."""
    CAMPAIGNS[function.__name__] = function
    return function


def of_notebooks(function: Callable) -> Callable:
    OF_NOTEBOOKS.append(function.__name__)
    return campaign(function)


def must(true: bool, what: str) -> None:
    if not true:
        raise AssertionError(what)


def digits(n: int = 640) -> hw2.Digits:
    return hw2.load("mnist", "test")[:n]


def trained(seed: int = 0, epochs: int = 1) -> Run:
    """A default VAE after a short training."""
    config = hw2.TrainConfig(epochs=epochs, seed=seed)
    model = hw2.VAE(32, seed=seed)
    return Run(model, hw2.fit(model, digits(), config, progress=False), config)


def same(a: Run, b: Run) -> bool:
    ours, theirs = a.model.state_dict(), b.model.state_dict()
    return all(torch.equal(ours[n], theirs[n]) for n in ours) and torch.equal(a.history.loss, b.history.loss)


def child(function: Callable, *arguments: object) -> multiprocessing.Process:
    process = FORK.Process(target=function, args=arguments)
    process.start()
    return process


# --- Files -----------------------------------------------------------------------------------------------------------


def save_for_ever(path: Path, runs: list[Run]) -> None:
    while True:
        for run in runs:
            hw2.save(path, *run)


@campaign
def kills(folder: Path) -> tuple[str, str, str]:
    path, runs, rng = folder / "run", [trained(seed) for seed in range(2)], random.Random(0)
    hw2.save(path, *runs[0])
    seen = [0, 0]
    for _ in range(100):
        process = child(save_for_ever, path, runs)
        time.sleep(rng.uniform(0.02, 0.2))
        process.kill()
        process.join()
        kept = hw2.load_checkpoint(path)  # raises if torn
        which = [same(kept, run) for run in runs]
        must(any(which), "a file that is neither run")
        seen[which.index(True)] += 1
    left = len(list(folder.iterdir())) - 1
    return (
        "SIGKILL while saving",
        "100",
        f"0 lost: the old or the new run each time ({seen[0]} and {seen[1]}); {left} temporary files left",
    )


@campaign
def flips(folder: Path) -> tuple[str, str, str]:
    path, rng = folder / "run", random.Random(0)
    hw2.save(path, *trained())
    whole = path.read_bytes()

    def refused(content: bytes) -> bool:
        path.write_bytes(content)
        try:
            hw2.load_checkpoint(path)
        except ValueError as error:
            return str(path) in str(error)
        return False

    count = 0
    for _ in range(300):
        changed = bytearray(whole)
        bit = rng.randrange(8 * len(whole))
        changed[bit // 8] ^= 1 << bit % 8
        count += refused(bytes(changed))
    cut = sum(refused(whole[: rng.randrange(len(whole))]) for _ in range(50))
    must((count, cut) == (300, 50), f"accepted: {300 - count} flips, {50 - cut} truncations")
    return "a bit flipped, the end cut off, in a checkpoint", "300 + 50", "350 refused, with the path"


@campaign
def two_writers(folder: Path) -> tuple[str, str, str]:
    path, runs = folder / "run", [trained(seed) for seed in range(2)]
    hw2.save(path, *runs[0])
    writers = [child(save_for_ever, path, [run]) for run in runs]
    seen = [0, 0]
    try:
        for _ in range(300):
            kept = hw2.load_checkpoint(path)
            seen[[same(kept, run) for run in runs].index(True)] += 1
    finally:
        for writer in writers:
            writer.kill()
            writer.join()
    return (
        "two processes save one run, a third reads",
        "300 reads",
        f"0 torn ({seen[0]} of one, {seen[1]} of the other)",
    )


def save_with_little_room(path: Path, run: Run, limit: int, answer) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        hw2.save(path, *run)
        answer.put("no error")
    except OSError as error:
        answer.put(error.strerror)


@campaign
def full_disk(folder: Path) -> tuple[str, str, str]:
    path, old, new = folder / "run", trained(0), trained(1)
    hw2.save(path, *old)
    size, said = path.stat().st_size, set()
    for share in range(20):
        answer = FORK.SimpleQueue()
        process = child(save_with_little_room, path, new, size * share // 20, answer)
        said.add(answer.get())
        process.join()
        must(same(hw2.load_checkpoint(path), old), "the old run is lost")
    must("no error" not in said, "a save without room succeeded")
    must(list(folder.iterdir()) == [path], "a part of a file is left")
    return "no room for the file (RLIMIT_FSIZE)", "20 sizes", f"old run whole each time; said: {', '.join(said)}"


class Payload:
    """What unpickling would run."""

    def __init__(self, marker: Path) -> None:
        self.marker = str(marker)

    def __reduce__(self):
        return os.mkdir, (self.marker,)


def train_without_room(limit: int, answer) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        run = hw2.train_or_load(hw2.VAE(32), digits(), hw2.TrainConfig(epochs=2), progress=False)
    answer.put((any("kept" in str(w.message) or "written" in str(w.message) for w in said), run.history.loss.tolist()))


@campaign
def training_on_a_full_disk(folder: Path) -> tuple[str, str, str]:
    losses = trained(epochs=2).history.loss.tolist()
    for share in range(10):
        os.environ["HW2_CACHE"] = str(folder / str(share))
        answer = FORK.SimpleQueue()
        process = child(train_without_room, share * 1_400_000, answer)
        must(answer.get() == (True, losses), "not said, or another run")
        process.join()
    return "training with no room for its file (RLIMIT_FSIZE)", "10 sizes", "said, and trained all the same"


@campaign
def pickles(folder: Path) -> tuple[str, str, str]:
    marker, path = folder / "it ran", folder / "run"
    files = [pickle.dumps(Payload(marker), protocol=p) for p in range(6)]
    torch.save(Payload(marker), folder / "torch")
    files += [(folder / "torch").read_bytes()]
    for content in files:
        path.write_bytes(content)
        with contextlib.suppress(ValueError):
            hw2.load_checkpoint(path)
            must(False, "a pickle was accepted")
    must(not marker.exists(), "the payload ran")
    return "a pickle that runs code, as a checkpoint", str(len(files)), "all refused, none ran"


@campaign
def unwritable(folder: Path) -> tuple[str, str, str]:
    (folder / "file").touch()
    os.environ["HW2_CACHE"] = str(folder / "file" / "runs")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        run = hw2.train_or_load(hw2.VAE(32), digits(), hw2.TrainConfig(epochs=1), progress=False)
    must(any("will not be kept" in str(w.message) for w in said), "not said")
    must(same(run, trained()), "another run")
    return "a cache that cannot be written", "1", "said before training; trained all the same"


def train_resuming(path: Path) -> None:
    torch.set_num_threads(1)
    fit_with_checkpoint(hw2.VAE(32), digits(), hw2.TrainConfig(epochs=30), path, progress=False)


@campaign
def killed_training(folder: Path) -> tuple[str, str, str]:
    torch.set_num_threads(1)
    path, rng, kills, begun = folder / "run", random.Random(0), 0, time.monotonic()
    whole = trained(epochs=30)
    undisturbed = time.monotonic() - begun
    for _ in range(10):
        path.unlink(missing_ok=True)
        while True:
            process = child(train_resuming, path)
            process.join(rng.uniform(0.1, 0.6) * undisturbed)  # at this machine's pace: some epochs end before a kill
            must(process.exitcode in (None, 0), "the training failed by itself")
            if process.exitcode == 0:
                break
            process.kill()
            process.join()
            kills += 1
            if path.exists():
                with contextlib.suppress(ValueError):  # under way
                    must(same(hw2.load_checkpoint(path), whole), "taken for an ended run")
        must(same(hw2.load_checkpoint(path), whole), "other bits than without a kill")
    return (
        "SIGKILL while training, then resumed, to the end",
        f"10 runs, {kills} kills",
        "10 ended bitwise as without a kill",
    )


def flip(path: Path, rng: random.Random) -> None:
    """Another value of one bit."""
    content = bytearray(path.read_bytes())
    bit = rng.randrange(8 * len(content))
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


DAMAGE = {
    "truncated": lambda p: p.write_bytes(p.read_bytes()[:-10]),
    "emptied": lambda p: p.write_bytes(b""),
    "missing": lambda p: p.unlink(),
    "a folder": lambda p: (p.unlink(), p.mkdir()),
}


@campaign
def archives(folder: Path) -> tuple[str, str, str]:
    """MNIST's archives, in a copy of the package's folder."""
    copies, rng = folder / "assets", random.Random(0)
    ways = DAMAGE | {f"with bit {i} flipped": lambda p: flip(p, rng) for i in range(25)}
    refused = unharmed = 0
    with mock.patch.object(hw2.data, "ASSETS", Path(shutil.copytree(hw2.data.ASSETS, copies))):
        for archive in sorted(copies.glob("*-ubyte.gz")):
            split = "train" if archive.name.startswith("train") else "test"
            content, digest = archive.read_bytes(), hw2.load("mnist", split).digest()
            for how, damage in ways.items():
                damage(archive)
                try:
                    must(hw2.load("mnist", split).digest() == digest, f"{archive.name} {how}: other digits")
                    unharmed += 1  # a bit of gzip's header that decides nothing
                except RuntimeError as error:
                    must(str(archive) in str(error), f"{archive.name} {how}: {error}")
                    refused += 1
                if archive.is_dir():
                    archive.rmdir()
                archive.write_bytes(content)
    return (
        "a packaged archive with a bit flipped, cut off, emptied, gone, a folder",
        str(refused + unharmed),
        f"{refused} refused with the path" + f", {unharmed} loaded with the same digits" * bool(unharmed),
    )


# --- Notebooks -------------------------------------------------------------------------------------------------------


def nbval(cache: Path, **environment: str) -> float:
    """Seconds of `pytest --nbval notebooks` with kept runs in `cache`."""
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--nbval", "-q", "-p", "no:cacheprovider", "notebooks"],
        cwd=ROOT, env=os.environ | {"HW2_CACHE": str(cache)} | environment, capture_output=True, text=True,
    )  # fmt: skip
    must(done.returncode == 0, done.stdout[-3000:])
    return time.monotonic() - start


@of_notebooks
def killed_after_training_cells(folder: Path) -> tuple[str, str, str]:
    """The kernel is killed after each training cell, then everything is run."""
    os.environ["HW2_CACHE"] = str(folder)
    kills = 0
    for path in NOTEBOOKS:
        code = [cell for cell in prepare(path).cells if cell.cell_type == "code"]
        training = [cell.id for cell in code if "train_or_load" in cell.source or "hw2.sweep" in cell.source]
        for last in training:
            notebook = prepare(path)
            client = NotebookClient(notebook, timeout=None, resources={"metadata": {"path": path.parent}})
            with client.setup_kernel():
                for index, cell in enumerate(notebook.cells):
                    if cell.cell_type == "code":
                        client.execute_cell(cell, index)
                    if cell.id == last:
                        os.kill(client.km.provisioner.pid, signal.SIGKILL)
                        kills += 1
                        break
    nbval(folder)
    return "kernel killed after a cell that trains or loads, then Run All", str(kills), "all cells pass"


@of_notebooks
def twice_in_one_kernel(folder: Path) -> tuple[str, str, str]:
    os.environ["HW2_CACHE"] = str(folder)
    for path in NOTEBOOKS:
        notebook = prepare(path)
        cells = notebook.cells
        notebook.cells = [*cells, *(json.loads(json.dumps(c)) | {"id": f"{c.id}-again"} for c in cells)]
        notebook.cells = [type(cells[0])(c) for c in notebook.cells]
        NotebookClient(notebook, timeout=None, resources={"metadata": {"path": path.parent}}).execute()
        must(not errors(notebook), str(errors(notebook)))
        texts = {
            c.id: "".join(o.get("text", "") for o in c.outputs)
            for c in notebook.cells
            if c.cell_type == "code" and "nbval-ignore-output" not in c.metadata.get("tags", [])
        }
        for name, text in texts.items():
            if not name.endswith("-again"):
                must(texts[f"{name}-again"] == text, f"{path.name} {name} says something else the second time")
    return "every cell run twice in one kernel", f"{len(NOTEBOOKS)} notebooks", "the same text, all claims hold"


@of_notebooks
def ten_in_a_row(folder: Path) -> tuple[str, str, str]:
    nbval(folder)  # so that all runs are kept, if they are not
    times = []
    for i in range(10):
        times.append(nbval(folder))
        print(f"  run {i + 1}: passed in {times[-1]:.0f} s", flush=True)
    outcome = f"no flake; from kept runs, in {min(times):.0f} to {max(times):.0f} s"
    return "`pytest --nbval notebooks`, again and again", "10", outcome


@of_notebooks
def instruction_sets(folder: Path) -> tuple[str, str, str]:
    """From scratch, without vector instructions of ATen's own, and on one thread."""
    kinds = {
        "one thread": {"OMP_NUM_THREADS": "1"},
        "ATen without AVX": {"ATEN_CPU_CAPABILITY": "default"},
        "MKL and oneDNN with AVX2": {
            "MKL_ENABLE_INSTRUCTIONS": "AVX2",
            "ONEDNN_MAX_CPU_ISA": "AVX2",
            "ATEN_CPU_CAPABILITY": "avx2",
        },
    }
    times = {kind: nbval(folder / kind, **settings) for kind, settings in kinds.items()}
    return (
        "trained from scratch on other arithmetic",
        "3",
        "all cells pass: " + ", ".join(f"{k} ({s:.0f} s)" for k, s in times.items()),
    )


def table(results: dict) -> str:
    rows = ["| fault | tries | outcome |", "|---|---|---|"]
    return "\n".join(rows + [f"| {' | '.join(results[name])} |" for name in CAMPAIGNS if name in results])


def load() -> dict:
    """{campaign: [fault, tries, outcome]}."""
    return json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}


def main(names: list[str]) -> None:
    if names == ["notebooks"]:
        names = OF_NOTEBOOKS
    hw2.load("mnist", "test")
    before = dict(os.environ)
    with tempfile.TemporaryDirectory() as kept:  # by one notebook's campaign, for the next
        for name in names or [n for n in CAMPAIGNS if n not in OF_NOTEBOOKS]:
            with tempfile.TemporaryDirectory() as own:
                row = CAMPAIGNS[name](Path(kept if name in OF_NOTEBOOKS else own))
            os.environ.clear()
            os.environ.update(before)
            print(f"{name}: {' | '.join(row)}", flush=True)
            results = json.dumps(load() | {name: row}, indent=1, ensure_ascii=False)
            RESULTS.write_text(results + "\n", encoding="utf-8")


if __name__ == "__main__":
    torch.set_num_threads(1)  # children are forked, which threads of ours would not survive
    main(sys.argv[1:])
