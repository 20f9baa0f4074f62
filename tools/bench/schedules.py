"""Quality per second: the homework's constant rate against a one-cycle rate, and the homework's own runs.

    python tools/bench/schedules.py mlp conv homework    some 20 minutes on two cores; kept runs are used

The objective is squared error + 0.784 KL per test image (β = 0.001), of models trained on the first 50,000 images; the
homework's own runs are trained on all 60,000.
"""

import sys

from timing import in_turn, keep

import hw2

NETWORKS = {"mlp": 32, "conv": 64}
CONSTANT = {"schedule": "constant", "lr": 1e-3}
ONE_CYCLE = {"schedule": "one-cycle", "lr": 3e-3}
EPOCHS = {"constant": (5, 10, 20), "one-cycle": (2, 3, 5, 10)}


def compare(arch: str) -> None:
    """The test objective after so many epochs of either schedule."""
    train, test = hw2.load("mnist", "train")[:50_000], hw2.load("mnist", "test")
    configs = {
        (way["schedule"], epochs): hw2.TrainConfig(epochs=epochs, **way)
        for way in (CONSTANT, ONE_CYCLE)
        for epochs in EPOCHS[way["schedule"]]
    }
    runs = hw2.sweep({cell: (hw2.VAE(NETWORKS[arch], arch), config) for cell, config in configs.items()}, train)
    part = train[:12_800]
    sides = {
        way["schedule"]: lambda way=way: hw2.fit(
            hw2.VAE(NETWORKS[arch], arch), part, hw2.TrainConfig(epochs=1, **way), progress=False
        )
        for way in (CONSTANT, ONE_CYCLE)
    }
    seconds = in_turn(sides, 3)
    rows = []
    for (schedule, epochs), run in runs.items():
        result = hw2.evaluate(run.model, test, run.config)
        spent = epochs * seconds[schedule] * len(train) / len(part)
        rows.append(
            (schedule, str(epochs), f"{spent:.0f}", f"{result.recon:.2f}", f"{result.kl:.2f}", f"{result.loss:.2f}")
        )
    head = (f"{arch}, rate", "epochs", "seconds", "squared error", "KL", "objective")
    keep(f"schedules {arch}", head, rows, "The learning rate is constant at 0.001, or one-cycle with a peak of 0.003.")


def homework() -> None:
    """The reference runs: conv, latent 64; the AE 10 epochs, β = 0 and 10 for 5, the tuned β for 20."""
    train, test = hw2.load("mnist", "train"), hw2.load("mnist", "test")
    grid = {"AE, 10 epochs": (hw2.AutoEncoder(64, "conv"), hw2.TrainConfig(beta=0, epochs=10))}
    for beta, epochs in ((0, 5), (10, 5), (0.001, 20)):
        grid[f"VAE, β = {beta}, {epochs} epochs"] = hw2.VAE(64, "conv"), hw2.TrainConfig(beta=beta, epochs=epochs)
    rows = []
    for name, run in hw2.sweep(grid, train).items():
        recon, kl, _ = hw2.evaluate(run.model, test, run.config)
        last = [run.history.per_epoch(term)[-1].item() for term in ("recon", "kl")]
        rows.append((name, *(f"{value:.2f}" for value in (*last, recon, kl))))
    head = ("conv, latent 64, 60,000 images", "squared error, last epoch", "KL, last epoch")
    head += ("squared error, test", "KL, test")
    keep("schedules homework", head, rows, "Reference for the last row: squared error near 13.3, KL near 13.6.")


if __name__ == "__main__":
    for what in sys.argv[1:] or [*NETWORKS, "homework"]:
        homework() if what == "homework" else compare(what)
