"""The homework's hand-in as a PDF: `report.py --set SEED=1 --output report.pdf`.

Runs copies of the notebooks and takes from them pictures, answers, what the answers may cite and, where there are any,
claims; the notebooks may be a student's. The PDF is written even if a notebook fails; it then says in red what is
missing and why. rerun.py runs them, gather.py looks for the parts, answers.py makes typst of an answer's text, and
report.typ says how it looks. What a notebook says reaches typst as data.
"""

import argparse
import json
import re
import shutil
import sys
import tempfile
from pathlib import Path

from nbformat import NotebookNode

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "notebooks"))
sys.path.insert(0, str(HERE))  # in the student edition execute.py is beside this file
import execute  # noqa: E402

try:
    import typst
    from gather import NAMES, answers, claims, demanded, exhibits, notes, verdict_rows
    from rerun import about, code_tasks, prepared, run, setting
except ImportError as error:
    install = (
        f'{sys.executable} -m pip install -e "{HERE}[report]"'
        if execute.FOLDER == HERE
        else "make report, or pip install '.[teacher]'"
    )
    sys.exit(f"{error}: the report needs more packages. Run  {install}")

DURATION = (
    "From trained models that are kept this takes some minutes. Those that are not kept are trained first: with "
    'run = "final" five to fifteen minutes in all, on two cores.'
)


def collect(
    notebooks: dict[str, NotebookNode], folder: Path, code: list[dict], problems: dict[str, str] | None = None
) -> tuple[dict, dict[str, bytes]]:
    """What report.typ shows, from executed notebooks: its data, and the pictures by file name.

    code: as `code_tasks` returns it. problems: of each notebook that failed, how.
    """
    problems = problems or {}
    shown, images = exhibits(notebooks)
    required, lacking = demanded(notebooks)
    said = [one for one in problems.values() if one]
    said += [one for name in notebooks if not problems.get(name) for one in lacking[name]]
    measured = [claim for notebook in notebooks.values() for claim in claims(notebook)]
    measured.sort(key=lambda claim: [int(n) for n in re.findall(r"\d+", claim["id"])])
    failed = [claim["id"] for claim in measured if claim["verdict"] == "does not hold"]
    written, own = answers(notebooks, failed, folder)
    settings, runs = zip(*map(about, notebooks.values()), strict=True)
    first, *later = (own.get("TUNED", "") for own in settings)
    ran = next(filter(None, runs), {})
    names = dict.fromkeys(name for own in settings for name in own)
    verdicts = [cell.source for cell in notebooks[NAMES[-1]].cells if "| statement | verdict |" in cell.source]
    data = {
        "problems": said,
        "answers": written,
        "exhibits": shown,
        "code": code,
        "codepoints": sum(task["points"] for task in code) or ran.get("codepoints", 0),
        "claims": measured,
        "failed": failed,
        "verdicts": verdict_rows("\n".join(verdicts)),
        "settings": {name: [own.get(name, "") for own in settings] for name in names},
        "tuned": next(filter(None, [*later, first]), "?"),
        "about": ran,
    }
    images |= required | own
    return data | notes(data) | {"pictures": list(images)}, images


def laid_out(folder: Path, data: dict, images: dict[str, bytes]) -> Path:
    """The template in `folder`, with all that it reads."""
    for name, png in images.items():
        (folder / name).write_bytes(png)
    (folder / "data.json").write_text(json.dumps(data), encoding="utf-8")
    return Path(shutil.copy(Path(__file__).with_name("report.typ"), folder))


def compiled(data: dict, images: dict[str, bytes], **options) -> bytes | list[bytes]:
    """The PDF; with format="png" a picture per page. options: of typst.compile."""
    with tempfile.TemporaryDirectory() as folder:  # typst reads nothing outside of it
        template = laid_out(Path(folder), data, images)
        fonts = {"font_paths": data["fonts"], "ignore_system_fonts": True}
        return typst.compile(template, root=folder, **fonts, **options)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--set", type=setting, nargs="+", action="extend", default=[], metavar="NAME=VALUE")
    parser.add_argument("--notebooks", type=Path, default=execute.FOLDER, metavar="FOLDER")
    parser.add_argument("--output", type=Path, default=Path("report.pdf"), metavar="FILE")
    options = parser.parse_args(arguments)
    if not options.output.resolve().parent.is_dir():
        parser.error(f"there is no folder for {options.output}")
    notebooks = prepared(options.notebooks, dict(options.set))
    print(DURATION, flush=True)
    code, stopped = code_tasks(options.notebooks)
    problems = {"code": stopped}
    for name, notebook in notebooks.items():
        problems[name] = run(name, notebook, options.notebooks)
        if problems[name]:
            print(f"    {problems[name]}", flush=True)
        execute.requote(notebook)
    data, images = collect(notebooks, options.notebooks, code, problems)
    try:
        options.output.write_bytes(compiled(data, images))
    except typst.TypstError as error:
        sys.exit(f"typst cannot set this report, most likely because of the mathematics in an answer: {error}")
    for note in data["notes"]:
        print(f"note: {note}")
    print(f"wrote {options.output.resolve()}", flush=True)
    if data["problems"]:
        sys.exit("\n    ".join(["This report is not complete:", *data["problems"]]))


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt as stopped:
        sys.exit(f"\n{stopped or 'stopped'}")
