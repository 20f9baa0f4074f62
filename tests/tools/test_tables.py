"""The committed results of the scripts: they cover what they should, are of this source, and stand in docs/."""

import dataclasses
import importlib
import itertools
import json
import math
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = [ROOT / "tools" / name for name in ("bench", "evidence")]
PAGES = {"seeds": "evidence", "faults": "evidence", "stress": "robustness", "timing": "speed"}


@pytest.fixture(scope="module")
def bench():
    """Imports a script of either folder."""
    sys.path[:0] = map(str, FOLDERS)
    yield importlib.import_module
    for folder in FOLDERS:
        sys.path.remove(str(folder))


@pytest.mark.parametrize(("arch", "least", "whole"), [("mlp", 5, 5), ("conv", 3, 1)])
def test_every_claim_holds_for_every_seed(bench, arch, least, whole):
    """whole: seeds with all four notebooks; the others lack the last."""
    claims = bench("claims")
    ids, bounds, seeds = claims.bounds("mlp"), claims.bounds(arch), bench("seeds").load()[arch]["seeds"]
    assert len(seeds) >= least
    assert sum(values.keys() == ids.keys() for values in seeds.values()) >= whole, "run tools/evidence/seeds.py"
    for seed, values in seeds.items():
        assert values.keys() == {id_ for id_ in ids if id_ in values or not id_.startswith("C4.")}
        measured = [dataclasses.replace(claim, value=values[id_]) for id_, claim in bounds.items() if id_ in values]
        assert [claim.id for claim in measured if not claim.holds] == [], f"seed {seed}"


def test_a_claim_about_one_network_has_no_bound_for_the_other(bench):
    """Nor does it fail there: C1.9 is about the default network only."""
    seeds, claims = bench("seeds"), bench("claims")
    assert "C1.9" in claims.bounds("mlp")
    assert "C1.9" not in claims.bounds("conv")
    (values,) = (seed for name, seed in seeds.load()["mlp"]["seeds"].items() if name == "0")
    entry = {"run": "final", "epochs": None, "seeds": {"0": values | {"C1.9": 0.08}}}
    results = {"mlp": entry, "conv": entry}
    (row,) = (line for line in seeds.table(results).splitlines() if line.startswith("| C1.9 "))
    assert row.endswith("| 0.08 … 0.08 (**1 fail**) | >= 1.5 | 0.08 … 0.08 | not about conv |")


def test_a_first_seed_and_a_new_claim_make_a_table_too(bench):
    seeds, claims = bench("seeds"), bench("claims")
    (claim, *_) = claims.bounds("mlp").values()
    assert seeds.margin(claim, [claim.at_most - 1]) == math.inf
    values = seeds.load()["mlp"]["seeds"]["0"]
    lacking = {id_: value for id_, value in values.items() if id_ not in ("C1.1", "C1.2")}
    results = {"mlp": {"run": "final", "epochs": None, "seeds": {"0": values | {"C1.2": 7.0}, "1": lacking}}}
    results["mlp"]["seeds"]["0"] = {id_: v for id_, v in results["mlp"]["seeds"]["0"].items() if id_ != "C1.1"}
    rows = {line.split()[1]: line for line in seeds.table(results).splitlines()}
    assert "| not measured |" in rows["C1.1"]
    assert "| 7 … 7" in rows["C1.2"]


@pytest.mark.slow
def test_bounds_are_read_as_the_notebooks_print_them(bench):
    """The bounds that a run prints are those that `bounds` reads from the source."""
    claims = bench("claims")
    for path in claims.NOTEBOOKS:
        printed = claims.printed_bounds(path)
        assert printed
        for id_, text in printed.items():
            assert text == claims.bounds("mlp")[id_].bounds


def test_every_planted_mistake_is_noticed(bench):
    faults = bench("faults")
    results = faults.load()
    assert results.keys() == faults.FAULTS.keys()
    assert len(results) >= 8
    for name, fault in faults.FAULTS.items():
        assert results[name]["tests"], f"{name} is noticed by no unit test"
        assert results[name]["notebook"], f"{name} is noticed by no notebook"
        source = (ROOT / "hw2" / fault.file).read_text(encoding="utf-8")
        assert source.count(fault.right) == 1, f"{name} cannot be planted in this source"


def test_every_campaign_of_faults_in_files_has_run(bench):
    """The notebooks' campaigns take an hour; docs/robustness.md shows those that have run."""
    stress = bench("stress")
    missing = stress.CAMPAIGNS.keys() - stress.load().keys()
    assert missing <= set(stress.OF_NOTEBOOKS), "run tools/evidence/stress.py"
    assert stress.load().keys() <= stress.CAMPAIGNS.keys()


def test_every_benchmark_has_a_result(bench):
    scripts = {path.stem for path in FOLDERS[0].glob("*.py") if "keep(" in path.read_text(encoding="utf-8")}
    assert {name.split()[0] for name in bench("timing").load()} == scripts - {"timing"}


def test_the_sweep_over_latent_sizes_and_seeds_is_whole(bench):
    """At least 60 cells, each once."""
    grid = bench("grid")
    rows = json.loads(grid.RESULTS.read_text(encoding="utf-8"))
    cells = [(row["beta"], row["latent_dim"], row["seed"]) for row in rows]
    assert cells == list(itertools.product(grid.BETAS, grid.LATENT, grid.SEEDS))
    assert len(cells) >= 60


@pytest.mark.parametrize("name", PAGES)
def test_the_page_shows_the_table(bench, name):
    module = bench(name)
    page = (ROOT / "docs" / f"{PAGES[name]}.md").read_text(encoding="utf-8")
    assert module.table(module.load()) in page, f"paste what {module.__file__} prints"
