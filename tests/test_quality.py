"""A run long enough to be held against published figures. The notebooks' claims cover the rest."""

import runpy
from pathlib import Path

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


def test_bernoulli_vae_reaches_a_negative_elbo_of_101_nats():
    run = runpy.run_path(str(BENCHMARKS / "bernoulli.py"))["run"]
    assert run().loss <= 101
