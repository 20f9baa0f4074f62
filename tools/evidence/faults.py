"""Plant known mistakes of this homework in a copy of the package, and see what notices them.

    python tools/evidence/faults.py            all of them; some 20 minutes on two cores, less with kept runs
    python tools/evidence/faults.py no-exp     those named

Each mistake is looked for in two ways: by the unit tests, and by a notebook, which is run up to the first cell that
fails. What fails there without any mistake is not counted. Results go to faults.json beside this file.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from claims import ROOT

RESULTS = Path(__file__).with_suffix(".json")
SETTINGS = {"mlp": {}, "conv": {"ARCH": "conv", "EPOCHS": 1}}  # of the notebook


class Fault(NamedTuple):
    """One mistake: in which file, what it replaces, and the notebook that should notice."""

    what: str
    file: str
    right: str
    wrong: str
    notebook: str
    arch: str = "mlp"


FAULTS = {
    "no-exp": Fault(
        "no exp in the reparametrisation", "models.py",
        "mu + torch.exp(0.5 * logvar.clamp(max=LOGVAR_MAX)) * eps", "mu + 0.5 * logvar * eps",
        "02_vae_beta_sweep",
    ),
    "kl-sign": Fault(
        "KL with the wrong sign", "losses.py", "return 0.5 * (mu.square()", "return -0.5 * (mu.square()",
        "02_vae_beta_sweep",
    ),
    "kl-mean": Fault(
        "KL averaged over the dimensions, β as if summed", "losses.py",
        "kl_per_dimension(mu, logvar).sum(-1)", "kl_per_dimension(mu, logvar).mean(-1)",
        "02_vae_beta_sweep",
    ),
    "log-sigma": Fault(
        "log σ² read as log σ in the draw", "models.py", "torch.exp(0.5 * logvar", "torch.exp(logvar",
        "02_vae_beta_sweep",
    ),
    "batchnorm": Fault(
        "the conv decoder in training mode while sampling", "latent.py",
        "    with inference(model):\n        z = z.to",
        "    with torch.no_grad():\n        model.train()\n        z = z.to",
        "03_interpolation", "conv",
    ),
    "short-walk": Fault(
        "an interpolation with t = i/n, which stops short", "latent.py",
        "return torch.linspace(0, 1, steps, dtype=torch.float32)", "return torch.arange(steps) / steps",
        "03_interpolation",
    ),
    "shuffled-labels": Fault(
        "a probe's labels shifted against its codes", "study/probes.py",
        "check_X_y(codes.numpy(), labels.numpy(),",
        "check_X_y(codes.numpy(), labels.roll(7).numpy(),",
        "03_interpolation",
    ),
    "fitted-prior": Fault(
        "samples from the Gaussian fitted to the AE's codes, called N(0, I)", "latent.py",
        "return decode(model, torch.randn(n, model.latent_dim, generator=generator, dtype=torch.float32))",
        "from .data import load\n    from .study.metrics import fitted_codes\n\n"
        "    return decode(model, fitted_codes(codes(model, load(\"mnist\").images[:20_000]), n))",
        "01_autoencoder",
    ),
}  # fmt: skip

RUN = """
import json, sys
from pathlib import Path
sys.path[:0] = ["tools/evidence", "tools/notebooks"]
import hw2
from claims import NOTEBOOKS, errors
from execute import prepare, run
from nbclient.exceptions import CellExecutionError
assert Path(hw2.__file__).is_relative_to(Path.cwd()), hw2.__file__
notebook = prepare(next(path for path in NOTEBOOKS if path.stem == sys.argv[1]), json.loads(sys.argv[2]))
try:
    run(notebook)
except CellExecutionError:
    pass
print(json.dumps(errors(notebook)))
"""


def copy(folder: Path, fault: Fault | None) -> None:
    """The package and its tests in a new `folder`, with the mistake in it."""
    folder.mkdir()
    for name in ("hw2", "notebooks", "tools", "tests", "docs", "pyproject.toml", "README.md"):
        source = ROOT / name
        shutil.copytree(source, folder / name) if source.is_dir() else shutil.copy(source, folder)
    if fault:
        file = folder / "hw2" / fault.file
        text = file.read_text(encoding="utf-8")
        if text.count(fault.right) != 1:
            raise ValueError(f"{fault.file} does not have once: {fault.right}")
        file.write_text(text.replace(fault.right, fault.wrong), encoding="utf-8")


def call(folder: Path, *arguments: str) -> str:
    """What Python prints, run in `folder` with the package there."""
    environment = os.environ | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    ).stdout


def noticed_by_notebook(folder: Path, notebook: str, arch: str) -> list[str]:
    """The claims that do not hold in the first cell that fails, or that cell if it has no claims."""
    found = json.loads(call(folder, "-c", RUN, notebook, json.dumps(SETTINGS[arch])).splitlines()[-1])
    noticed = []
    for cell, why in found.items():
        noticed += re.findall(r"^(?:AssertionError: )?(C\d\.\d+):", why, flags=re.M) or [f"cell {cell}"]
    return noticed


def noticed_by_tests(folder: Path, file: str) -> list[str]:
    """The tests of the module with the mistake that fail; parameters left out."""
    paths = [str(path.relative_to(folder)) for path in (folder / "tests").rglob(f"test_{Path(file).name}")]
    if not paths:
        raise ValueError(f"no tests/**/test_{Path(file).name}")
    output = call(folder, "-m", "pytest", "-q", "--maxfail=20", *paths)
    return sorted(set(re.findall(r"^(?:FAILED|ERROR) tests/(?:\S+/)?(test_\S+?::\w+(?:::\w+)?)", output, flags=re.M)))


def load() -> dict:
    """{"no-exp": {"what": ..., "notebook": [claims and cells], "tests": [names]}}."""
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else {}


def table(results: dict) -> str:
    """One row per mistake: what notices it, the first three of each kind by name."""

    def some(names: list[str]) -> str:
        return ", ".join(names[:3]) + f" and {len(names) - 3} more" * (len(names) > 3) or "–"

    lines = ["| mistake | claims and cells of a notebook | unit tests |", "|---|---|---|"]
    for entry in results.values():
        tests = [f"`{name.partition('::')[2]}`" for name in entry["tests"]]
        lines.append(f"| {entry['what']} | {some(entry['notebook'])} | {some(tests)} |")
    return "\n".join(lines)


def main(names: list[str]) -> None:
    without = {}  # what fails without any mistake; with their own settings the notebooks hold, as their tests check
    for name in names:
        fault = FAULTS[name]
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            case = fault.notebook, fault.arch
            if case not in without and SETTINGS[fault.arch]:
                copy(folder / "right", None)
                without[case] = noticed_by_notebook(folder / "right", *case)
            copy(folder / "wrong", fault)
            notebook = noticed_by_notebook(folder / "wrong", *case)
            expected = without.get(case, [])
            noticed = {
                "what": fault.what,
                "notebook": [found for found in notebook if found not in expected],
                "tests": noticed_by_tests(folder / "wrong", fault.file),
            }
        print(name, json.dumps(noticed, indent=1), "without a mistake:", expected, flush=True)
        results = load() | {name: noticed}  # read again, for another process may plant other mistakes
        RESULTS.write_text(json.dumps({n: results[n] for n in FAULTS if n in results}, indent=1) + "\n")
    print(table(load()))


if __name__ == "__main__":
    main(sys.argv[1:] or list(FAULTS))
