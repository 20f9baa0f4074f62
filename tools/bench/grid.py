"""β × latent size × seed: 60 VAEs in one sweep, and the figure of their rate and distortion.

    python tools/bench/grid.py             trains what is missing, some 8 minutes on two cores
    python tools/bench/grid.py --dask 4    on a local dask cluster of four workers (the extra `cluster`)
    python tools/bench/grid.py --draw      only the figure, from grid.json beside this file

Default network, 5 epochs on the first 50,000 images, measured on the test images. The figure is docs/grid.png.
"""

import argparse
import contextlib
import itertools
import json
from pathlib import Path

import hw2

BETAS, LATENT, SEEDS = (1e-5, 1e-4, 1e-3, 3e-3, 1e-2), (2, 8, 32), range(4)
RESULTS = Path(__file__).with_suffix(".json")
FIGURE = Path(__file__).resolve().parents[2] / "docs" / "grid.png"


def digits() -> hw2.Digits:
    """What each job loads for itself, so that the images need not travel."""
    return hw2.load("mnist", "train")[:50_000]


@contextlib.contextmanager
def executor(workers: int):
    """dask's, on this machine and for this machine only; or none."""
    if not workers:
        yield None
        return
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        yield client.get_executor()


def train(workers: int) -> list[dict]:
    """One row of test measurements per cell."""
    cells = list(itertools.product(BETAS, LATENT, SEEDS))
    grid = {
        cell: (hw2.VAE(cell[1], seed=cell[2]), hw2.TrainConfig(beta=cell[0], epochs=5, seed=cell[2])) for cell in cells
    }
    with executor(workers) as engine:
        runs = hw2.sweep(grid, digits, engine)
    test, rows = hw2.load("mnist", "test"), []
    for (beta, latent_dim, seed), run in runs.items():
        recon, kl, _ = hw2.evaluate(run.model, test, run.config)
        rows.append({"beta": beta, "latent_dim": latent_dim, "seed": seed, "recon": recon, "kl": kl})
    return rows


def draw(rows: list[dict]) -> None:
    """Both terms against β, a line per latent size, with the band of all seeds."""
    import matplotlib.pyplot as plt

    from hw2 import plotting

    plt.style.use(plotting.STYLE)
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6))
    colors = dict(zip(LATENT, ("#E69F00", "#0072B2", "#009E73"), strict=True))
    markers = dict(zip(LATENT, "os^", strict=True))
    panels = (("recon", "distortion: " + plotting.ERROR_UNIT), ("kl", "rate: " + plotting.KL_UNIT))
    for ax, (term, label) in zip(axes, panels, strict=True):
        for d in LATENT:
            seeds = [[r[term] for r in rows if (r["beta"], r["latent_dim"]) == (b, d)] for b in BETAS]
            low, high = [min(s) for s in seeds], [max(s) for s in seeds]
            ax.fill_between(BETAS, low, high, color=colors[d], alpha=0.35, lw=0)
            ax.plot(BETAS, [sum(s) / len(s) for s in seeds], marker=markers[d], ms=5, color=colors[d], label=f"{d}")
        ax.set(xscale="log", xlabel="β (pixel-mean error, summed KL)", ylabel=label)
        ax.set_xticks(BETAS, [plotting.beta_label(b) for b in BETAS])
        ax.minorticks_off()
    axes[0].set_ylim(0)
    axes[1].set_yscale("symlog", linthresh=1)
    axes[1].set_ylim(0, 200)
    axes[1].set_yticks([0, 1, 10, 100], [0, 1, 10, 100])
    axes[1].minorticks_off()
    axes[0].legend(title="latent size")
    figure.suptitle(f"{len(rows)} VAEs: mean and range over {len(SEEDS)} seeds, test images", fontsize=11)
    figure.savefig(FIGURE, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dask", type=int, default=0, metavar="WORKERS", help="processes of a local dask cluster")
    parser.add_argument("--draw", action="store_true", help="only the figure, from the results that are there")
    options = parser.parse_args()
    if not options.draw:
        RESULTS.write_text(json.dumps(train(options.dask), indent=1) + "\n")
    draw(json.loads(RESULTS.read_text()))


if __name__ == "__main__":
    main()
