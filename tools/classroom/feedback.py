"""The pages that students get, nbgrader's feedback, made readable offline and by name: `grade.py --feedback`."""

import functools
import html
import re
from pathlib import Path

from student import ASSIGNMENT, nbgrader

FITTING = "<style>img { max-width: 100%; height: auto; } pre { white-space: pre-wrap; }</style>"


@functools.cache
def mathml(formula: str) -> str:
    """A formula as MathML, which browsers show without help; as it was if pandoc cannot read it."""
    import pypandoc

    try:
        text = pypandoc.convert_text(
            formula, "html", format="commonmark+tex_math_dollars", extra_args=["--mathml", "--quiet"]
        )
    except RuntimeError:
        return formula
    return re.sub(r"^<p>|</p>$", "", text.strip())


def unescaped(formula: str) -> str:
    """A formula as it was typed, without what HTML made of it."""
    return html.unescape(re.sub(r"</?em>", "_", formula))


def feedback(course: Path) -> int:
    """Write the pages that students get, in feedback/, and make them readable offline and by name. How many."""
    nbgrader(course, "generate_feedback", ASSIGNMENT, "--force")
    pages = sorted((course / "feedback").glob(f"*/{ASSIGNMENT}/*.html"))
    for page in pages:
        text = page.read_text(encoding="utf-8")
        text = re.sub(r'<a href="#([\w-]+)">(?:Test cell|Written response)</a>', r'<a href="#\1">\1</a>', text)
        outside = re.split(r"(<script.*?</script>|<style.*?</style>|<pre.*?</pre>|<code.*?</code>)", text, flags=re.S)
        formula = r"\$\$.+?\$\$|(?<![\\$\w])\$(?![\s$])[^$<\n]*?(?<!\s)\$(?!\w)"
        outside[::2] = [re.sub(formula, lambda m: mathml(unescaped(m[0])), part, flags=re.S) for part in outside[::2]]
        page.write_text("".join(outside).replace("</head>", f"{FITTING}</head>", 1), encoding="utf-8")
    return len(pages)
