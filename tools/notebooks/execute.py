"""Run the notebooks and save them in a fixed form: `execute.py [FILE …]`.

Saved are sources, text and pictures. Not saved is what differs between two runs that say the same:
timings, versions, widget views and their state, how a stream was cut into pieces. Numbers that the
text quotes with a claim become this run's.
"""

import ast
import base64
import re
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import DeadKernelError
from traitlets.config import Config

HERE = Path(__file__).resolve().parent
# Where the notebooks are: beside this file, as in the student edition, or in the repository's folder.
FOLDER = HERE if any(HERE.glob("*.ipynb")) else HERE.parents[1] / "notebooks"
DOCS = FOLDER.parent / "docs"
# The README's pictures: (notebook, cell) whose first picture is saved, and its file.
PICTURES = {
    ("02_vae_beta_sweep", "quality"): "samples.png",
    ("02_vae_beta_sweep", "rate-distortion"): "rate_distortion.png",
    ("03_interpolation", "strips"): "strip.png",
}
WIDGET = "application/vnd.jupyter.widget-view+json"
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
# "5.4<!--C1.1-->", "94 %<!--C1.3-->", "41 points<!--C2.20-->": a number and its claim, which a reader does not see.
QUOTED = re.compile(
    r"(?<![\d.,])((?:(?<!\w)[-−])?\d[\d,]*(?:\.\d+)?)"
    r"(?=(?:\s+(%|points?|times|nats))?<!--(C\d\.\d+)-->)"
)
FOLDED = "jp-MarkdownHeadingCollapsed"  # JupyterLab's: what stands below the heading is folded


def cited(text: str) -> set[str]:
    """The claims that a text names, in ranges too: "C2.1 to C2.3" is three."""
    found = set(re.findall(r"C\d\.\d+", text))
    for number, first, last in re.findall(r"C(\d)\.(\d+) to C\1\.(\d+)", text):
        found |= {f"C{number}.{n}" for n in range(int(first), int(last) + 1)}
    return found


def tidy(notebook: nbformat.NotebookNode) -> None:
    """Bring an executed notebook into the saved form, in place."""
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        kept = {name: cell.metadata[name] for name in ("tags", FOLDED) if cell.metadata.get(name)}
        cell.metadata = nbformat.from_dict(kept)
        if cell.cell_type == "code":
            cell.outputs = _joined(o for o in cell.outputs if WIDGET not in o.get("data", {}))


def _joined(outputs):
    """The outputs, with all pieces of one stream in the place of its first."""
    result, streams = [], {}
    for output in outputs:
        if output.output_type == "stream" and output.name in streams:
            streams[output.name].text += output.text
            continue
        if output.output_type == "stream":
            streams[output.name] = output
        result.append(output)
    return result


def pictures(name: str, notebook: nbformat.NotebookNode) -> dict[Path, bytes]:
    """The README's pictures from an executed notebook, by the file where each belongs."""
    first = {
        cell.id: next(o.data["image/png"] for o in cell.outputs if "image/png" in o.get("data", {}))
        for cell in notebook.cells
        if (name, cell.id) in PICTURES
    }
    return {DOCS / PICTURES[name, cell]: base64.b64decode(png) for cell, png in first.items()}


def printed(notebook: nbformat.NotebookNode, start: str) -> str:
    """What the code cells that start with `start` printed, as "check(" or "measured("."""
    return "".join(
        output.get("text", "")
        for cell in notebook.cells
        if cell.cell_type == "code" and cell.source.startswith(start)
        for output in cell.outputs
    )


def measured(notebook: nbformat.NotebookNode) -> dict[str, tuple[str, str]]:
    """{"C1.1": ("5.468", "must be <= 8")}, as `hw2.study.claims.measured` printed it."""
    lines = re.findall(r"^(C\d\.\d+) +(\S+)   (\S.*)$", printed(notebook, "measured("), flags=re.M)
    return {id_: (value, bound) for id_, value, bound in lines}


def measurements(notebook: nbformat.NotebookNode) -> dict[str, float]:
    """{"C1.1": 5.468} as the outputs print it."""
    return {id_: float(value) for id_, (value, _) in measured(notebook).items()}


def quote(value: float, number: str, unit: str) -> str:
    """The value with as many decimals as `number` has; percent and points are hundredths."""
    decimals = len(number.partition(".")[2])
    text = f"{abs(value) * (100 if unit in ('%', 'point', 'points') else 1):,.{decimals}f}"
    return "−" * (value < 0 and text.strip("0.") != "") + text


def requote(notebook: nbformat.NotebookNode) -> None:
    """Put what was measured for each number that the text quotes with a claim, in place."""
    values = measurements(notebook)

    def current(match: re.Match) -> str:
        number, unit, claim = match.groups()
        return quote(values[claim], number, unit) if claim in values else number

    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = QUOTED.sub(current, cell.source)


def assigned(source: str) -> dict[str, slice]:
    """The lines of each setting in the settings cell, {"SEED": slice(4, 5)}."""
    return {
        node.targets[0].id: slice(node.lineno - 1, node.end_lineno)
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }


def assign(source: str, settings: Mapping[str, object]) -> str:
    """The settings cell with new values, {"SEED": 1}. ValueError for a setting that it does not have."""
    for name, value in settings.items():
        lines, found = source.splitlines(), assigned(source)
        if name not in found:
            raise ValueError(f"there is no setting {name}")
        lines[found[name]] = [f"{name} = {value!r}"]
        source = "\n".join(lines)
    return source


def prepare(path: Path, settings: Mapping[str, object] | None = None) -> nbformat.NotebookNode:
    """The notebook without outputs. settings: new values in its settings cell, {"SEED": 1}.

    ValueError for a setting that it does not have.
    """
    notebook = nbformat.read(path, as_version=4)
    if notebook.nbformat_minor < 5:  # in which cells have no ids
        notebook = nbformat.v4.upgrade(notebook, 4, notebook.nbformat_minor)
    if settings and all(cell.id != "settings" for cell in notebook.cells):
        raise ValueError(f"{path.name}: there is no cell with the id settings, so no setting {', '.join(settings)}")
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
        if cell.id == "settings":
            try:
                cell.source = assign(cell.source, settings or {})
            except ValueError as error:
                raise ValueError(f"{path.name}: {error}") from None
    return notebook


def label(cell: nbformat.NotebookNode) -> str:
    """How a message names a cell: by its id, which JupyterLab does not show, and by how it begins."""
    begins = next((line.strip() for line in cell.source.splitlines() if line.strip()), "")
    return f"{cell.id} (it begins {begins[:60]})"


def run(notebook: nbformat.NotebookNode, allow_errors: bool = False, folder: Path = FOLDER) -> None:
    """Execute it in place and in `folder`, up to the first error unless they are allowed.

    DeadKernelError, which names the cell, if the kernel dies. KeyboardInterrupt, with no kernel left, after Ctrl+C.

    The kernel is talked to by sockets that are files, of which it does not warn, but where there are none (Windows) or
    where their names, of a hundred characters at most, would be too long.
    """
    started = []
    with tempfile.TemporaryDirectory() as sockets:
        ipc = sys.platform != "win32" and len(sockets.encode()) < 80
        manager = {"transport": "ipc", "ip": f"{sockets}/kernel"} if ipc else {}
        client = NotebookClient(
            notebook, timeout=None, record_timing=False, kernel_name="python3",
            allow_errors=allow_errors, resources={"metadata": {"path": str(folder)}},
            on_cell_execute=lambda cell, cell_index: started.append(cell), config=Config(KernelManager=manager),
        )  # fmt: skip
        try:
            client.execute()
        except DeadKernelError:
            raise DeadKernelError(f"the kernel died in the cell {label(started[-1])}") from None
        except AssertionError:  # nbclient answers Ctrl+C by ending the kernel, and then misses it
            if client.km is not None:
                raise
            raise KeyboardInterrupt("stopped. Models that are trained, and epochs that ended, are kept") from None


def main(paths: list[Path]) -> None:
    for path in paths:
        print(f"running {path.name}", flush=True)
        notebook = prepare(path)
        run(notebook)
        requote(notebook)
        tidy(notebook)
        nbformat.validate(notebook)
        nbformat.write(notebook, path)
        for file, png in pictures(path.stem, notebook).items() if DOCS.is_dir() else ():  # students have none
            file.write_bytes(png)


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]] or sorted(FOLDER.glob("*.ipynb")))
