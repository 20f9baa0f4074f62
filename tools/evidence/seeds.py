"""Do the claims hold for other seeds? Every notebook run anew per seed, and the margins that are left.

    python tools/evidence/seeds.py mlp 0 1 2 3 4
    python tools/evidence/seeds.py conv 0 1 2 --epochs 2

Values go to seeds.json beside this file; runs already there are replaced. Without arguments it prints the table of
what is there. `run` and `device` are those of notebooks/settings.toml. A seed takes about 7 minutes on two cores (mlp);
trained models are kept as in the notebooks.
"""

import argparse
import json
import math
import statistics
from dataclasses import replace
from pathlib import Path

from claims import NOTEBOOKS, bounds, errors
from execute import FOLDER, measurements, prepare, run

from hw2 import notebook_settings
from hw2.study.claims import Claim

RESULTS = Path(__file__).with_suffix(".json")


def measure(settings: dict) -> dict[str, float]:
    """The value of every claim under these settings. RuntimeError if a cell fails for another reason than a claim."""
    found = {}
    for path in NOTEBOOKS:
        print(f"{path.name} with {settings}", flush=True)
        notebook = prepare(path, settings)
        run(notebook, allow_errors=True)
        other = {cell: why for cell, why in errors(notebook).items() if not why.startswith("AssertionError: C")}
        if other:
            raise RuntimeError(f"{path.name}: {other}")
        found |= measurements(notebook)
    return found


def table(results: dict) -> str:
    """One row per claim: for each architecture the range over its seeds, and the bound; failing seeds are counted."""
    heads = ["claim"]
    for arch, entry in results.items():
        epochs = f", {entry['epochs']} epochs" if entry["epochs"] else ""
        heads += [f"{arch}, {len(entry['seeds'])} seeds, {entry['run']} run{epochs}", "must be"]
    rows = [heads, ["---"] * len(heads)]
    limits = {arch: bounds(arch) for arch in results}
    for id_, stated in bounds("mlp").items():
        row = [f"{id_} {stated.sentence}"]
        for arch, entry in results.items():
            numbers, claim = [s[id_] for s in entry["seeds"].values() if id_ in s], limits[arch].get(id_)
            if not numbers:
                row += ["not measured", claim.bounds if claim else f"not about {arch}"]
                continue
            failing = sum(not replace(claim, value=number).holds for number in numbers) if claim else 0
            row.append(f"{min(numbers):.3g} … {max(numbers):.3g}" + f" (**{failing} fail**)" * bool(failing))
            row.append(claim.bounds if claim else f"not about {arch}")
        rows.append(row)
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def margin(claim: Claim, numbers: list[float]) -> float:
    """Distance of the worst seed from the nearer bound, in standard deviations over the seeds."""
    room = min(min(n - claim.at_least, claim.at_most - n) for n in numbers)
    spread = statistics.stdev(numbers) if len(numbers) > 1 else 0
    return room / spread if spread else math.inf


def load() -> dict:
    """{"mlp": {"run": "final", "epochs": None for the run's own, "seeds": {"0": {"C1.1": value}}}}."""
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    return {arch: results[arch] for arch in ("mlp", "conv") if arch in results}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("arch", nargs="?", choices=("mlp", "conv"))
    parser.add_argument("seeds", nargs="*", type=int)
    parser.add_argument("--epochs", type=int, help="passes for every model; default: the notebooks' own")
    options = parser.parse_args()
    kind = {"run": notebook_settings(FOLDER).run, "epochs": options.epochs}
    if options.seeds and not kind.items() <= load().get(options.arch, kind).items():
        parser.error(f"{RESULTS.name} has {options.arch} with another run or other epochs: move it away first")
    for seed in options.seeds:
        settings = {"ARCH": options.arch, "SEED": seed} | ({"EPOCHS": options.epochs} if options.epochs else {})
        found = measure(settings)
        results = load()  # now, because another architecture may run beside this one
        entry = results.setdefault(options.arch, kind | {"seeds": {}})
        entry["seeds"][str(seed)] = found
        RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")
    print(table(load()))
    for arch, entry in load().items():
        found = {i: [s[i] for s in entry["seeds"].values() if i in s] for i in bounds(arch)}
        margins = {i: margin(claim, found[i]) for i, claim in bounds(arch).items() if found[i]}
        nearest = sorted(margins.items(), key=lambda item: item[1])[:5]
        print(f"{arch}: nearest to a bound, in standard deviations:", *(f"{i} {m:.1f}" for i, m in nearest))


if __name__ == "__main__":
    main()
