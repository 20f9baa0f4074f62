"""What the report takes from executed notebooks: pictures, answers, what answers may cite, claims, and what to warn of.

Cells are found by their ids, or else by what is in them.
"""

import base64
import re
import sys
from pathlib import Path

import execute
import nbformat
from answers import HEAD, STUB, fonts_for, to_typst, with_pictures

NAMES = ("01_autoencoder", "02_vae_beta_sweep", "03_interpolation")
PICTURES = {  # cell: its notebook, and how many pictures it draws
    "samples": ("01_autoencoder", 1),
    "beta0": ("02_vae_beta_sweep", 3),
    "beta10": ("02_vae_beta_sweep", 3),
    "tuned": ("02_vae_beta_sweep", 3),
    "strips": ("03_interpolation", 3),
}
# What answers may cite: the cell, its notebook, the answer beside which it stands, and what it shows.
EXHIBITS = (
    ("geometry", "01_autoencoder", "A1",
     "Codes of test digits and draws from N(0, I): from one side, and by their distance from the origin."),
    ("samplers", "01_autoencoder", "A1", "Four samplers for one decoder, with their Fréchet scores."),
    ("table", "02_vae_beta_sweep", "A4", "The sweep: error and KL of test images for every β."),
    ("tuning", "02_vae_beta_sweep", "A4", "The choice of β, on validation images."),
    ("rate-distortion", "02_vae_beta_sweep", "A4",
     "The sweep: error against rate. Each line has the slope of its network's price; the circle marks the tuned β."),
    ("quality", "02_vae_beta_sweep", "A4",
     "The sweep: the same draws and the same test images at every β, and measures of samples, error and rate."),
    ("walk-table", "03_interpolation", "A5", "A thousand walks between two test images, measured."),
    ("downstream-figure", "03_interpolation", "A5", "Test accuracy of simple classifiers on codes and on pixels."),
)  # fmt: skip
# How to know a cell whose id was changed, as some tools do when they strip outputs.
SIGNS = {
    "imports": r"^import hw2$", "settings": r"^SEED = ", "samples": r"H1:", "beta0": r"^three_pictures\(0\)",
    "beta10": r"^three_pictures\(10\)", "tuned": r"^three_pictures\(TUNED\)", "strips": r"^def strip\(",
    "geometry": r"distance from the origin", "samplers": r"Four samplers", "table": r"784 β    error",
    "tuning": r"^held_out = ", "rate-distortion": r"baseline=", "quality": r"samples_against_beta",
    "walk-table": r"walks\.table", "downstream-figure": r"probe_accuracies",
}  # fmt: skip
QUESTIONS = {  # its notebook, points, words that an answer must stay below, and the question
    "A1": ("01_autoencoder", 2, 150, "Describe what the autoencoder's samples look like, and explain why."),
    "A2": ("02_vae_beta_sweep", 3, 150, "What happens at β = 0, and why?"),
    "A3": ("02_vae_beta_sweep", 3, 200, "What happens at β = 10, and why?"),
    "A4": ("02_vae_beta_sweep", 3, 200,
           "What do you expect of a well-tuned VAE's reconstructions and samples? Then tune β and show it."),
    "A5": ("03_interpolation", 3, 300,
           "How do AE and VAE interpolations differ? How does that affect the representation's use downstream?"),
}  # fmt: skip
NO_CELL = "{}.ipynb has no cell {}, which the report needs: copy it from the notebook as you got it"


def found(notebook: nbformat.NotebookNode, cell_id: str) -> nbformat.NotebookNode | None:
    """The code cell with that id, or else the first that looks like it; None if there is none."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    alike = [cell for cell in cells if re.search(SIGNS.get(cell_id, "(?!)"), cell.source, flags=re.M)]
    return next((cell for cell in cells if cell.get("id") == cell_id), alike[0] if alike else None)


def part(name: str, notebook: nbformat.NotebookNode, cell_id: str) -> nbformat.NotebookNode:
    """That cell. SystemExit if the notebook has none."""
    cell = found(notebook, cell_id)
    if cell is None:
        sys.exit(NO_CELL.format(name, cell_id))
    return cell


def pictures(cell: nbformat.NotebookNode, cell_id: str) -> dict[str, bytes]:
    """{"beta0-1.png": PNG} of all pictures that a cell shows."""
    data = [output.get("data", {}) for output in cell.outputs]
    pngs = [base64.b64decode(d["image/png"]) for d in data if "image/png" in d]
    return {f"{cell_id}-{number}.png": png for number, png in enumerate(pngs, 1)}


def demanded(notebooks: dict[str, nbformat.NotebookNode]) -> tuple[dict[str, bytes], dict[str, list[str]]]:
    """The pictures that the report must show, as far as they are there; and of each notebook, what it lacks of them."""
    images, lacking = {}, {name: [] for name in notebooks}
    for cell_id, (name, count) in PICTURES.items():
        cell = found(notebooks[name], cell_id)
        own = pictures(cell, cell_id) if cell else {}
        images |= dict(list(own.items())[:count])
        if cell is None:
            lacking[name].append(NO_CELL.format(name, cell_id))
        elif len(own) < count:
            lacking[name].append(f"{name}.ipynb, cell {cell_id}, shows {len(own)} pictures; the report needs {count}")
    return images, lacking


def exhibits(notebooks: dict[str, nbformat.NotebookNode]) -> tuple[list[dict], dict[str, bytes]]:
    """What answers may cite, where it is there: for each its pictures' names and its text; and the pictures."""
    shown, images = [], {}
    for cell_id, name, answer, caption in EXHIBITS:
        cell = found(notebooks[name], cell_id)
        if cell is None:
            continue
        own = pictures(cell, cell_id)
        text = "".join(o.text for o in cell.outputs if o.output_type == "stream" and o.name == "stdout").rstrip()
        if own or text:
            shown.append({"answer": answer, "caption": caption, "pictures": list(own), "text": text})
        images |= own
    return shown, images


def answer_cell(id_: str, notebooks: dict[str, nbformat.NotebookNode]) -> nbformat.NotebookNode | None:
    """The cell that holds an answer, wherever it is and whatever its id: one with text before one without."""
    own = QUESTIONS[id_][0]
    candidates = []
    for name in sorted(notebooks, key=lambda name: name != own):
        for cell in notebooks[name].cells:
            graded = cell.metadata.get("nbgrader", {}).get("grade_id")
            head = HEAD.match(cell.source)
            known = head[1] == id_ if head else f"answer-{id_.lower()}" in (cell.get("id"), graded)
            if cell.cell_type == "markdown" and known:
                candidates.append(cell)
    written = [cell for cell in candidates if text_of(cell)]
    if len({text_of(cell) for cell in written}) > 1:
        print(f"{len(written)} cells hold an answer {id_}: the report shows the first")
    if not candidates:
        print(f"no cell holds the answer {id_}. It must begin with  **Answer {id_}.**  so that it is found")
    return next(iter(written + candidates), None)


def text_of(cell: nbformat.NotebookNode) -> str:
    """An answer without its head, or "" where nothing has been written."""
    text = HEAD.sub("", cell.source, count=1).strip()
    return "" if text == STUB else text


def answers(
    notebooks: dict[str, nbformat.NotebookNode], failed: list[str], folder: Path
) -> tuple[dict[str, dict], dict[str, bytes]]:
    """{"A1": its question, points, words and text for typst}, and the pictures in them. failed: claims, by id."""
    result, images = {}, {}
    for id_, (_, points, limit, question) in QUESTIONS.items():
        cell = answer_cell(id_, notebooks)
        text = text_of(cell) if cell else ""
        words = len(text.split())
        shown, files, missing = with_pictures(text, cell, folder, f"answer-{id_.lower()}")
        images |= files
        for source in missing:
            print(f"answer {id_}: the picture {source} is left out: it is neither pasted into the cell nor in {folder}")
        result[id_] = {
            "question": question, "points": points, "limit": limit, "words": words, "text": to_typst(shown, files),
            "plain": text, "failed": [claim for claim in failed if claim in execute.cited(text)],
        }  # fmt: skip
    return result, images


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


def notes(data: dict) -> dict:
    """What the first page warns of: fewer epochs than planned, settings that disagree, letters without a font."""
    said = []
    planned, epochs = data["about"].get("planned", 0), data["settings"].get("EPOCHS", [])
    fewer = [e for e in epochs if e.isdigit() and int(e) < planned]
    if fewer:
        said.append(
            f'Trained for {min(fewer, key=int)} epochs; {planned} are planned (run = "final" in settings.toml).'
        )
    for name, values in data["settings"].items():
        if len({value for value in values if value}) > 1:
            said.append(f"{name} differs between the notebooks: {', '.join(values)}.")
    person = {key: data["about"].get(key, "") for key in ("name", "course", "date")}
    text = "".join(person.values()) + "".join(a["plain"] for a in data["answers"].values())
    folders, missing = fonts_for(text + "".join(task["said"] for task in data["code"]))
    if missing:
        said.append(f"No font on the machine that made this has: {', '.join(f'U+{ord(c):04X}' for c in missing)}.")
        print(
            f"no font on this machine has {' '.join(missing)}: the PDF shows empty boxes in their place. Install one "
            "(Noto Sans CJK for Chinese, Noto Emoji for emoji), or write them otherwise"
        )
    return {"notes": said, "person": person, "fonts": [str(folder) for folder in folders]}
