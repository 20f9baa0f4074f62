"""Time from a new value of a slider to the PNG bytes, in the kernel, per explorer. Untrained models of the usual size.

python tools/bench/renders.py
"""

import statistics
import time
from collections.abc import Callable

import torch
from matplotlib.figure import Figure

import hw2
from hw2 import plotting
from hw2.explore.pictures import chart, png
from hw2.explore.views import (
    BetaEntry,
    View,
    plane_entry,
    render_beta,
    render_interpolation,
    render_plane,
    render_traversal,
)
from hw2.training import Terms


def renders() -> dict[str, Callable[[int], View]]:
    """{explorer: its picture number i}."""
    test = hw2.load("mnist", "test")
    betas = [0.0, 1e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 10.0]
    models = {b: hw2.VAE(32) for b in betas}
    terms = {b: Terms(20, 10, 30) for b in betas}
    entries = {b: BetaEntry(t, 10, 200) for b, t in terms.items()}
    curve = chart(plotting.rate_distortion(terms, ax=Figure(figsize=(3.5, 3.4), dpi=100).subplots()))
    flat = plane_entry(hw2.VAE(2), Terms(30, 5, 31), test[:300])
    pair, x = {"AE": hw2.AutoEncoder(32), "VAE": hw2.VAE(32)}, test.images[:8]
    positions = torch.linspace(0, 1, 100).tolist()
    return {
        "β": lambda i: render_beta(models, entries, curve, x, betas[i % len(betas)]),
        "interpolation, 7 steps, AE and VAE": lambda i: render_interpolation(
            pair, test, (4, 0), (6, 0), 7, positions[i]
        ),
        "2-D plane": lambda i: render_plane(flat, 1e-3, positions[i], 0),
        "traversal": lambda i: render_traversal(pair["VAE"], torch.ones(32), x[0], 1, positions[i]),
    }


if __name__ == "__main__":
    for name, render in renders().items():
        times = []
        for i in range(100):
            start = time.perf_counter()
            for picture in render(i).pictures:
                png(picture)
            times.append(1000 * (time.perf_counter() - start))
        times = sorted(times[5:])
        print(f"{name:<36} median {statistics.median(times):5.1f} ms   worst of 95 {times[-1]:5.1f} ms", flush=True)
