"""A GPU against the CPU beside it: a sweep of eight β, and the homework's convolutional schedule.

    python tools/bench/gpu.py    some six minutes on a large GPU; without one it says so

Everything is trained anew, into a folder of its own. The sides of a comparison run one after the other in one process.
"""

import contextlib
import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import torch
from timing import keep

import hw2

BETAS = (0, 1e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 10)
LANES = (1, 8)
HOMEWORK = {"AE": (0, 10), "β = 0": (0, 5), "β = 10": (10, 5), "β = 0.001": (0.001, 20)}  # β and epochs


def seconds(grid: dict, train: hw2.Digits, lanes: int | None = None) -> float:
    """Of a sweep; lanes: so many runs at a time, by default the sweep's own."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        os.environ["HW2_CACHE"] = folder
        executor = stack.enter_context(ThreadPoolExecutor(lanes)) if lanes else None
        start = time.perf_counter()
        hw2.sweep(grid, train, executor)
        return time.perf_counter() - start


def betas(device: str, epochs: int) -> dict:
    config = hw2.TrainConfig(epochs=epochs, device=device)
    return {beta: (hw2.VAE(32), replace(config, beta=beta)) for beta in BETAS}


def homework(device: str, epochs: int | None = None) -> dict:
    grid = {}
    for name, (beta, own) in HOMEWORK.items():
        model = hw2.AutoEncoder(64, "conv") if name == "AE" else hw2.VAE(64, "conv")
        grid[name] = model, hw2.TrainConfig(beta=beta, epochs=epochs or own, device=device)
    return grid


def main() -> None:
    if not torch.cuda.is_available():
        raise SystemExit("no CUDA device here")
    everything = hw2.load()
    train = everything[:50_000]
    gpu, cores = torch.cuda.get_device_name(), torch.get_num_threads()
    hw2.fit(hw2.VAE(32), train, hw2.TrainConfig(epochs=1, device="cuda"), progress=False)  # warm
    rows = []

    def row(what: str, there: float, here: float | None = None) -> None:
        beside = ("", "") if here is None else (f"{here:.1f}", f"{here / there:.1f}")
        rows.append((what, f"{there:.1f}", *beside))
        print(*rows[-1], sep="   ", flush=True)

    for lanes in LANES:
        row(f"eight β, 2 epochs, {lanes} at a time", seconds(betas("cuda", 2), train, lanes))
    row("eight β, 2 epochs", *(seconds(betas(device, 2), train) for device in ("cuda", "cpu")))
    row("eight β, 20 epochs", seconds(betas("cuda", 20), train))
    one_epoch = (seconds(homework(device, 1), everything) for device in ("cuda", "cpu"))
    row("homework's four models, convolutional, 1 epoch each", *one_epoch)
    row("homework's four models, convolutional, 40 epochs in all", seconds(homework("cuda"), everything))
    head = ("`hw2.sweep`", f"seconds, {gpu}", f"seconds, {cores} threads beside it", "times as fast")
    keep("gpu", head, rows, "The default network on 50,000 images, the homework's on 60,000.")


if __name__ == "__main__":
    main()
