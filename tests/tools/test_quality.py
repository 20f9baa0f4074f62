"""A run long enough to be held against published figures. The notebooks' claims cover the rest."""

import runpy
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
EVIDENCE = Path(__file__).parents[2] / "tools" / "evidence"


def test_bernoulli_vae_reaches_a_negative_elbo_of_101_nats():
    run = runpy.run_path(str(EVIDENCE / "bernoulli.py"))["run"]
    assert run().loss <= 101
