"""How cost grows: seconds and peak memory against latent size, batch size, number of β and number of images.

    python tools/bench/growth.py           some 4 minutes on two cores; writes docs/growth.png
    python tools/bench/growth.py --draw    only the figure, from the last results

Each point is a process of its own, for memory's sake. One epoch of the default network; peak memory is the process's,
less what it had after the imports, and includes the images.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from timing import keep, load

AXES = {
    "latent size": (2, 8, 32, 128, 512),
    "batch size": (16, 64, 256, 1024, 4096),
    "number of β": (1, 2, 4, 8),
    "number of images": (1_000, 10_000, 100_000, 1_000_000),
}
DEFAULT = {"latent size": 32, "batch size": 128, "number of β": 1, "number of images": 20_000}
FIGURE = Path(__file__).resolve().parents[2] / "docs" / "growth.png"


def measure(case: dict[str, int]) -> tuple[float, float]:
    """(seconds of the epoch, MiB at the peak), in this process."""
    import resource

    import hw2

    unit = 2**20 if sys.platform == "darwin" else 2**10  # of ru_maxrss, per MiB
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    test = hw2.load("mnist", "test")
    n = case["number of images"]
    copies = -(-n // len(test))
    digits = hw2.Digits(test.images.repeat(copies, 1, 1, 1)[:n], test.labels.repeat(copies)[:n])
    betas = [1e-3 * (1 + i) for i in range(case["number of β"])]
    grid = {
        b: (hw2.VAE(case["latent size"]), hw2.TrainConfig(beta=b, epochs=1, batch_size=case["batch size"]))
        for b in betas
    }
    with tempfile.TemporaryDirectory() as os.environ["HW2_CACHE"]:
        hw2.fit(hw2.VAE(2), digits[:500], hw2.TrainConfig(epochs=1), progress=False)  # what happens once
        start = time.perf_counter()
        hw2.sweep(grid, digits)
        seconds = time.perf_counter() - start
    return seconds, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / unit


def draw() -> None:
    """Both costs against each axis, from the kept table; dashed is proportional growth through the last point."""
    import matplotlib.pyplot as plt
    import numpy as np

    from hw2 import plotting

    results: dict[str, list[tuple[int, float, float]]] = {axis: [] for axis in AXES}
    for axis, value, seconds, megabytes in load()["growth"]["rows"]:
        results[axis].append((int(value.replace(",", "")), float(seconds), float(megabytes)))
    plt.style.use(plotting.STYLE)
    figure, axes = plt.subplots(2, len(results), figsize=(3 * len(results), 5), sharey="row", sharex="col")
    units = ("seconds, one epoch", "peak memory in MiB")
    for column, (axis, points) in zip(axes.T, results.items(), strict=True):
        x, *costs = map(np.array, zip(*points, strict=True))
        for ax, cost, unit, color in zip(column, costs, units, ("#0072B2", "#D55E00"), strict=True):
            ax.loglog(x, cost, marker="o", color=color)
            ax.loglog(x, cost[-1] * x / x[-1], ls="--", lw=1, color="0.5")
            ax.set_xticks(x, [f"{n:,}" for n in x], rotation=30, fontsize=8)
            ax.minorticks_off()
            if ax in axes[:, 0]:
                ax.set_ylabel(unit)
        column[0].set_title(axis)
        column[1].set_xlabel(axis)
    for ax, ticks in zip(axes[:, 0], ((0.1, 1, 10, 100), (300, 1000, 3000)), strict=True):
        ax.set_ylim(ticks[0] / 2, ticks[-1] * 2)
        ax.set_yticks(ticks, [f"{t:,}" for t in ticks])
    fixed = "20,000 images, batch 128, latent size 32, one β"
    figure.suptitle(f"One epoch of the default network; where not varied: {fixed}. Dashed: proportional", fontsize=10)
    figure.savefig(FIGURE, dpi=110)


def main() -> None:
    rows = []
    for axis, values in AXES.items():
        for value in values:
            case = json.dumps(DEFAULT | {axis: value})
            command = [sys.executable, __file__, case]
            seconds, megabytes = json.loads(subprocess.check_output(command, stderr=subprocess.DEVNULL))
            print(f"{axis} {value:,}: {seconds:.2f} s, {megabytes:.0f} MB", flush=True)
            rows.append((axis, f"{value:,}", f"{seconds:.2f}", f"{megabytes:.0f}"))
    keep("growth", ("", "", "seconds, one epoch", "peak MiB"), rows)
    draw()


if __name__ == "__main__":
    if sys.argv[1:] == ["--draw"]:
        draw()
    elif len(sys.argv) > 1:
        print(json.dumps(measure(json.loads(sys.argv[1]))))
    else:
        main()
