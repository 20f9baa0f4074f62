"""The homework's hand-in as a PDF: `make report`, or `report.py --set SEED=1 --output report.pdf`.

Runs copies of the three notebooks and takes pictures, answers and claims from them by the ids of their cells; the
notebooks may be a student's, without claims. report.typ says how it looks. What a notebook says reaches typst as data;
answers are Markdown, of which pandoc makes typst without raw code, files or links into the document.
"""

import argparse
import ast
import base64
import json
import re
import shutil
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient.exceptions import CellExecutionError, DeadKernelError

try:
    import pypandoc
    import typst
except ImportError as error:
    sys.exit(f"{error}: the report needs the extra teacher: make report, or pip install '.[teacher]'")

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "notebooks"))
sys.path.insert(0, str(Path(__file__).resolve().parent))  # in the student edition execute.py is beside this file
import execute

NAMES = ("01_autoencoder", "02_vae_beta_sweep", "03_interpolation")
PICTURES = {  # cell: its notebook, and how many pictures it draws
    "samples": ("01_autoencoder", 1),
    "beta0": ("02_vae_beta_sweep", 3),
    "beta10": ("02_vae_beta_sweep", 3),
    "tuned": ("02_vae_beta_sweep", 3),
    "strips": ("03_interpolation", 3),
}
QUESTIONS = {  # its notebook, points, words that an answer must stay below, and the question
    "A1": ("01_autoencoder", 2, 150, "Describe what the autoencoder's samples look like, and explain why."),
    "A2": ("02_vae_beta_sweep", 3, 150, "What happens at β = 0, and why?"),
    "A3": ("02_vae_beta_sweep", 3, 200, "What happens at β = 10, and why?"),
    "A4": ("02_vae_beta_sweep", 3, 200,
           "What do you expect of a well-tuned VAE's reconstructions and samples? Then tune β and show it."),
    "A5": ("03_interpolation", 3, 300,
           "How do AE and VAE interpolations differ? How does that affect the representation's use downstream?"),
}  # fmt: skip
HEAD = re.compile(r"\*\*Answer A\d\.\*\*\s*(\*\d points?, fewer than \d+ words\.\*)?\s*")
STUB = "YOUR ANSWER HERE"  # nbgrader's, where nothing has been written
# CommonMark as JupyterLab shows it, and of pandoc's extensions only those that cannot hold code or attributes.
MARKDOWN = "commonmark+tex_math_dollars+pipe_tables+strikeout+smart"
PRINT = '\nimport matplotlib\n\nmatplotlib.rcParams["figure.dpi"] = 300'
ABOUT = """
import importlib.metadata
import json
import platform

import hw2
import torch


def version(name):
    return next((d.version for d in importlib.metadata.distributions(name=name)), "not installed")


versions = {"Python": platform.python_version()}
versions |= {name: version(name) for name in ("torch", "torchvision", "hw2", "numpy", "matplotlib")}
digest = hw2.load(globals().get("DATASET", "mnist"))[:50_000].digest()
about = {"versions": versions, "threads": torch.get_num_threads(), "digest": digest[:12]}
print(json.dumps([{name: repr(globals()[name]) for name in NAMES if name in globals()}, about]))
"""


def setting(text: str) -> tuple[str, object]:
    """("SEED", 1) of "SEED=1". ArgumentTypeError if the value is neither a word nor a Python literal."""
    name, _, value = text.partition("=")
    if re.fullmatch(r"[a-z][a-z-]*", value):
        return name, value  # ARCH=conv, whose quotes a shell would take
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not NAME=VALUE with a word or a Python value: SEED=1, ARCH=conv, 'BETAS=(0, 1e-3)'. "
            "What has brackets goes to tools/classroom/report.py itself, in quotes"
        ) from None


def part(name: str, notebook: nbformat.NotebookNode, cell_id: str) -> nbformat.NotebookNode:
    """The cell with that id. SystemExit if the notebook has none."""
    found = [cell for cell in notebook.cells if cell.get("id") == cell_id]
    if not found:
        sys.exit(f"{name}.ipynb has no cell {cell_id} (its id), which the report needs: copy it from the original")
    return found[0]


def prepared(folder: Path, settings: dict[str, object]) -> dict[str, nbformat.NotebookNode]:
    """The notebooks to run, in print quality, each with what it has of the settings. SystemExit if none has one."""
    notebooks, known = {}, set()
    for name in NAMES:
        path = folder / f"{name}.ipynb"
        if not path.is_file():
            sys.exit(f"{path} is missing: name the folder of the three notebooks with --notebooks")
        try:
            source = part(name, nbformat.read(path, as_version=4), "settings").source
            own = execute.assigned(source)
            notebook = execute.prepare(path, {key: value for key, value in settings.items() if key in own})
        except SyntaxError as error:
            sys.exit(f"{name}.ipynb, cell settings: {error}")
        except nbformat.reader.NotJSONError:
            sys.exit(f"{path} is not a notebook")
        known |= own.keys()
        part(name, notebook, "imports").source += PRINT
        for cell in notebook.cells:
            if cell.source.startswith("check("):  # a claim that does not hold is reported
                cell.metadata.tags = [*cell.metadata.get("tags", []), "raises-exception"]
        assigned = [n.id for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Name) and n.id.isupper()]
        notebook.cells.append(nbformat.v4.new_code_cell(f"NAMES = {list(dict.fromkeys(assigned))}{ABOUT}", id="about"))
        notebooks[name] = notebook
    if unknown := settings.keys() - known:
        sys.exit(f"no notebook has a setting {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}")
    return notebooks


def run(name: str, notebook: nbformat.NotebookNode, folder: Path) -> None:
    """Execute it in its folder. SystemExit at the first error, unless that is a claim's."""
    print(f"running {name}.ipynb", flush=True)
    try:
        execute.run(notebook, folder=folder)
    except DeadKernelError:
        ran = [cell.id for cell in notebook.cells if cell.get("execution_count")]
        sys.exit(f"{name}.ipynb: the kernel died in or after the cell {ran[-1] if ran else 'imports'}")
    except CellExecutionError:
        pass  # its cell holds the error, as a tolerated one does
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            claim = cell.source.startswith("check(") and output.get("ename") == "AssertionError"
            if output.output_type == "error" and not claim:
                sys.exit(f"{name}.ipynb, cell {cell.id}: {output.ename}: {output.evalue}")


def pictures(name: str, notebook: nbformat.NotebookNode, cell_id: str, count: int) -> dict[str, bytes]:
    """{"beta0-1.png": PNG} of the first `count` pictures of a cell. SystemExit if it shows fewer."""
    data = [output.get("data", {}) for output in part(name, notebook, cell_id).outputs]
    pngs = [base64.b64decode(d["image/png"]) for d in data if "image/png" in d]
    if len(pngs) < count:
        sys.exit(f"{name}.ipynb, cell {cell_id}, shows {len(pngs)} pictures; the report needs {count}")
    return {f"{cell_id}-{number}.png": png for number, png in enumerate(pngs[:count], 1)}


def minus(number: str) -> str:
    """With the sign that is printed for a negative number; exponents stay."""
    return re.sub(r"(?<![\w.])-", "−", number)


def claims(notebook: nbformat.NotebookNode) -> list[dict[str, str]]:
    """Every claim: id, sentence, verdict, value and bound, as `check` and `measured` printed them, or "" if not."""
    lines = re.findall(r"^(C\d\.\d+)  (.+): (.+)$", execute.printed(notebook, "check("), flags=re.M)
    checked = {id_: (sentence, verdict.lower()) for id_, sentence, verdict in lines}
    measured = execute.measured(notebook)
    rows = [(id_, *checked.get(id_, ("", "")), *measured.get(id_, ("", ""))) for id_ in checked | measured]
    return [
        {
            "id": id_, "sentence": sentence, "verdict": verdict, "value": minus(value),
            "bound": minus(bound.removeprefix("must be ").replace(">=", "≥").replace("<=", "≤")),
        }
        for id_, sentence, verdict, value, bound in rows
    ]  # fmt: skip


def verdict_rows(markdown: str) -> list[list[str]]:
    """The rows of the table of the nine statements: [number, statement, verdict, claims]."""
    rows = [line.strip("| ").split("|") for line in markdown.splitlines() if re.match(r"\| \d \|", line)]
    return [[field.strip() for field in row] for row in rows if len(row) == 4]


def to_typst(markdown: str) -> str:
    """Typst markup that calls only typst's own elements, and `horizontalrule`."""
    options = ["--sandbox", "--wrap=none", "--quiet", f"--lua-filter={Path(__file__).with_name('answer.lua')}"]
    return pypandoc.convert_text(markdown, "typst", format=MARKDOWN, extra_args=options)


def collect(notebooks: dict[str, nbformat.NotebookNode]) -> tuple[dict, dict[str, bytes]]:
    """What report.typ shows, from executed notebooks: its data, and the pictures by file name."""
    images = {}
    for cell_id, (name, count) in PICTURES.items():
        images |= pictures(name, notebooks[name], cell_id, count)
    found = [claim for notebook in notebooks.values() for claim in claims(notebook)]
    failed = [claim["id"] for claim in found if claim["verdict"] == "does not hold"]
    answers = {}
    for id_, (name, points, limit, question) in QUESTIONS.items():
        text = HEAD.sub("", part(name, notebooks[name], f"answer-{id_.lower()}").source, count=1).strip()
        text = "" if text == STUB else text
        answers[id_] = {
            "question": question, "points": points, "limit": limit, "words": len(text.split()), "text": to_typst(text),
            "failed": [claim for claim in failed if claim in execute.cited(text)],
        }  # fmt: skip
    abouts = [json.loads(execute.printed(notebook, "NAMES = ").splitlines()[-1]) for notebook in notebooks.values()]
    settings = [own for own, _ in abouts]
    names = dict.fromkeys(name for own in settings for name in own)
    verdicts = [cell.source for cell in notebooks[NAMES[-1]].cells if cell.get("id") == "verdicts"]
    data = {
        "answers": answers,
        "claims": found,
        "failed": failed,
        "verdicts": verdict_rows("\n".join(verdicts)),
        "settings": {name: [own.get(name, "") for own in settings] for name in names},
        "about": abouts[0][1],
    }
    return data, images


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
        return typst.compile(template, root=folder, ignore_system_fonts=True, **options)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--set", type=setting, nargs="+", action="extend", default=[], metavar="NAME=VALUE")
    parser.add_argument("--notebooks", type=Path, default=execute.FOLDER, metavar="FOLDER")
    parser.add_argument("--output", type=Path, default=Path("report.pdf"), metavar="FILE")
    options = parser.parse_args(arguments)
    if not options.output.resolve().parent.is_dir():
        parser.error(f"there is no folder for {options.output}")
    notebooks = prepared(options.notebooks, dict(options.set))
    for name, notebook in notebooks.items():
        run(name, notebook, options.notebooks)
        execute.requote(notebook)
    try:
        options.output.write_bytes(compiled(*collect(notebooks)))
    except typst.TypstError as error:
        sys.exit(f"typst cannot set this report, most likely for the mathematics in an answer: {error}")
    print(f"wrote {options.output}")


if __name__ == "__main__":
    main()
