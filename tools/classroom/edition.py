"""What the student edition says where the repository says something else: its README, its settings, its imports."""

import ast
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from nbformat import NotebookNode

SETTINGS = "settings.toml"
MINUTES = {"01_autoencoder": 60, "02_vae_beta_sweep": 120, "03_interpolation": 75}  # as their first cells say
PER_POINT = 20  # minutes, for a point of code: a guess
NUMBERS = (  # of the solution, on test images, with two epochs and with all: what, quick, final
    ("the autoencoder's squared error per image", "12.6", "5.4"),
    ("Fréchet score of its samples from N(0, I)", "1540", "1437"),
    ("the VAE at β = 0: squared error, KL", "12.9, 356", "5.3, 459"),
    ("the VAE at β = 10: squared error, KL", "53.2, 0.0", "53.0, 0.0"),
    ("squared error of the mean image, to compare with", "52.9", "52.9"),
)
QUESTION = re.compile(r"\*\*Question (A\d)\*\* \((\d+) points?, fewer than (\d+) words\)")
PREDICTION = "**My prediction.** *Write it here, before you run the next cell. It is not graded.*"
# What the notebooks say here, and what they say in the edition: there no β is chosen, the package is beside them, and
# there are neither tests nor saved pictures.
INSTEAD = {
    "hw2.notebook_settings(tuned=1e-3)": "hw2.notebook_settings()",
    "pyproject.toml (.. in a clone)": "pyproject.toml (. if that is beside this notebook)",
    "In our run, whose pictures the repository shows, ": "In a run of ours ",
    " What the test guarantees is less: that it lies between 0.0001 and 0.003.": "",
}


def readme(tasks: Sequence, written: Sequence[str], notebooks: Mapping[str, NotebookNode]) -> str:
    """What students read first: tasks, points and minutes, from the tasks, the files in which they are written, and
    the notebooks' questions.
    """
    asked = {name: QUESTION.findall("\n".join(c.source for c in notebooks[name].cells)) for name in MINUTES}
    minutes = {"code_minutes": PER_POINT * sum(t.points for t in tasks), "minutes": sum(MINUTES.values())}
    points = {"code": sum(t.points for t in tasks), "answers": sum(int(p) for a in asked.values() for _, p, _ in a)}
    rows = [f"   | {t.title} | {t.points} | {PER_POINT * t.points} |" for t in tasks]
    questions = {name: "; ".join(f"{i} ({p}, fewer than {w})" for i, p, w in found) for name, found in asked.items()}
    text = Path(__file__).with_name("student.md").read_text(encoding="utf-8")
    return text.format(
        **points,
        **minutes,
        hours=round(sum(minutes.values()) / 60),
        all=sum(points.values()),
        written=", ".join(f"`{file}`" for file in written),
        tasks="\n".join(rows),
        notebooks="\n".join(f"   | {name} | {questions[name]} | {MINUTES[name]} |" for name in MINUTES),
        numbers="\n".join(f"| {what} | {quick} | {final} |" for what, quick, final in NUMBERS),
    )


def used(imports: str, code: str) -> str:
    """The cell of imports without the names that `code`, the other cells, does not use."""
    needed = {node.id for node in ast.walk(ast.parse(code + "\n" + imports)) if isinstance(node, ast.Name)}
    lines = imports.splitlines()
    for node in reversed(ast.parse(imports).body):
        if isinstance(node, ast.Import | ast.ImportFrom):
            kept = [a for a in node.names if (a.asname or a.name.partition(".")[0]) in needed]
            if len(kept) < len(node.names):
                node.names = kept
                lines[node.lineno - 1 : node.end_lineno] = [ast.unparse(node)] if kept else []
    return "\n".join(lines)


def student_settings(text: str) -> str:
    """settings.toml for students: a quick run, and no tuned β."""
    for ours, theirs in (
        (r'^run = "[^"]*"', 'run = "quick"'),
        (
            r"^tuned = .*$",
            "# tuned = 0.05  # the β that you choose, of H5: take away the first # and write down a first guess",
        ),
    ):
        text, found = re.subn(ours, theirs, text, flags=re.M)
        if not found:
            raise ValueError(f"{SETTINGS} has no line {ours}")
    return text
