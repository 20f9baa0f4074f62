"""An answer, from a cell's Markdown to what typst sets: formulas, pasted pictures, and letters that the font lacks.

Answers are Markdown as JupyterLab shows it. pandoc makes typst of it without raw code, files or links into the
document.
"""

import base64
import io
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote

import pypandoc
from fontTools.ttLib import TTCollection, TTFont
from matplotlib import font_manager, get_data_path
from nbformat import NotebookNode
from PIL import Image

HEAD = re.compile(r"\*\*Answer (A\d)\.\*\*\s*(?:\*\d points?, fewer than \d+ words\.\*)?\s*")
STUB = "YOUR ANSWER HERE"  # nbgrader's, where nothing has been written
# CommonMark as JupyterLab shows it, and of pandoc's extensions only those that cannot hold code or attributes.
MARKDOWN = "commonmark+tex_math_dollars+pipe_tables+strikeout+smart"
# Code and formulas in dollars, which stay as they are; and formulas that JupyterLab sets without dollars.
FORMULA = re.compile(
    r"(?P<asis>```.*?```|`[^`\n]*`|\$\$.*?\$\$)"
    r"|\\begin\{(?P<kind>align|aligned|equation|gather|eqnarray|multline)\*?\}(?P<rows>.*?)\\end\{(?P=kind)\*?\}"
    r"|\\\\\((?P<inline>.+?)\\\\\)|\\\\\[(?P<shown>.+?)\\\\\]",
    flags=re.S,
)
PICTURE = re.compile(
    r"!\[(?P<text>[^\]]*)\]\(\s*(?:<(?P<named>[^>\n]+)>|(?P<source>[^)\s]+))(?:\s+(?:\"[^\"]*\"|'[^']*'))?\s*\)"
    r"|(?P<other>!\[[^\]\n]*\]\[[^\]\n]*\]|<img\b[^>]*>)"  # which are not looked for
)
MAX_PIXELS = 1600
FALLBACK = Path(get_data_path(), "fonts", "ttf")  # DejaVu Sans, which comes with matplotlib


def in_dollars(markdown: str) -> str:
    """With every formula between dollars, which is where pandoc looks for them."""

    def dollars(match: re.Match) -> str:
        if match["asis"]:
            return match["asis"]
        if match["inline"]:
            return f"${match['inline'].strip()}$"
        text = match["rows"] or match["shown"]
        text = "\n".join(line for line in text.replace(r"\nonumber", "").splitlines() if line.strip())
        text = re.sub(r"\\label\{[^}]*\}", "", text).strip()
        if match["kind"] not in (None, "equation"):
            text = f"\\begin{{aligned}}\n{text}\n\\end{{aligned}}"
        return f"$${text}$$"

    return FORMULA.sub(dollars, markdown)


def with_pictures(markdown: str, cell: NotebookNode, folder: Path, prefix: str) -> tuple[str, dict[str, bytes], list]:
    """The text with a file name for each picture that is at hand, those pictures as PNG, and the sources of the others.

    At hand is what was pasted into the cell (an attachment) and what lies in the notebooks' folder.
    """
    files, missing = {}, []

    def named(match: re.Match) -> str:
        if match["other"]:
            missing.append(match["other"])
            return "(picture left out: write it as ![what it is](its-file.png))"
        source = unquote(match["named"] or match["source"])
        try:
            data = picture_data(source, cell, folder)
            picture = Image.open(io.BytesIO(data))
            picture.thumbnail((MAX_PIXELS, MAX_PIXELS))
            png = io.BytesIO()
            picture.convert("RGBA").save(png, "PNG")
        except (OSError, KeyError, ValueError, SyntaxError, Image.DecompressionBombError):
            missing.append(source)
            return f"{match['text']} (picture left out: {Path(source).name})"
        name = f"{prefix}-{len(files) + 1}.png"
        files[name] = png.getvalue()
        return f"![{match['text']}]({name})"

    return PICTURE.sub(named, markdown), files, missing


def picture_data(source: str, cell: NotebookNode, folder: Path) -> bytes:
    """The bytes of a picture. KeyError or OSError where there is none."""
    if source.startswith("attachment:"):
        bundle = cell.get("attachments", {})[source.removeprefix("attachment:")]
        return base64.b64decode(next(iter(bundle.values())))
    path = (folder / source).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise FileNotFoundError(source)
    return path.read_bytes()


def to_typst(markdown: str, pictures: Iterable[str] = ()) -> str:
    """Typst markup that calls only typst's own elements, `horizontalrule`, and `image` for the files in `pictures`."""
    options = ["--sandbox", "--wrap=none", "--quiet", f"--lua-filter={Path(__file__).with_name('answer.lua')}"]
    options += [f"--metadata=pictures={' '.join(pictures)}"]
    return pypandoc.convert_text(in_dollars(markdown), "typst", format=MARKDOWN, extra_args=options)


def _characters(path: Path) -> set[int]:
    """The characters that a font file has."""
    try:
        fonts = TTCollection(path).fonts if path.suffix.lower() == ".ttc" else [TTFont(path, lazy=True)]
        return {code for font in fonts for code in font.getBestCmap() or ()}
    except Exception:  # fontTools raises many kinds for a damaged file
        return set()


def fonts_for(text: str) -> tuple[list[Path], str]:
    """Folders of fonts in which `text` can be set, beside typst's own, and the characters that no font here has.

    Typst's own have Latin, Greek and Cyrillic; DejaVu, which comes with matplotlib, has Arabic, Hebrew and many signs.
    The fonts of this machine are looked at only for what is left.
    """
    left = {ord(c) for c in text if not c.isspace() and unicodedata.category(c) not in ("Cc", "Cf", "Mn")}
    left -= set(range(0x250)) | _characters(FALLBACK / "DejaVuSans.ttf")
    left -= set(range(0xFE00, 0xFE10))  # which only choose how the sign before them looks
    folders = [FALLBACK]
    for name in sorted(font_manager.findSystemFonts()) if left else ():
        if found := left & _characters(Path(name)):
            folders.append(Path(name).parent)
            left -= found
    return list(dict.fromkeys(folders)), "".join(map(chr, sorted(left)))
