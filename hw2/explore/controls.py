"""A widget of controls and pictures, whose page side is `explorer.js`; what it draws is handed in (`widgets`).

A picture travels as PNG bytes: what `interact` prints would land in the cell's output, which `pytest --nbval` compares.
What a setting makes impossible is said below the controls, and the last picture stays.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import anywidget
from traitlets import Dict, List, Unicode

from ..losses import effective_beta
from ..plotting import beta_label
from .pictures import png
from .views import View


class Control(NamedTuple):
    """A control as the page needs to know it, the number that it starts at, and what a number of it means."""

    page: dict
    start: float
    meaning: Callable[[float], object] = lambda number: number


def slider(label: str, start: float, low: float, high: float, step: float, tip: str, unit: str = "", **more) -> Control:
    """Numbers from low to high. more: signed=True writes a plus."""
    page = {"kind": "slider", "label": label, "min": low, "max": high, "step": step, "tip": tip, "unit": unit}
    return Control(page | more, start)


def choice(kind: str, label: str, options: Sequence, start: int, tip: str, **more) -> Control:
    """One of `options`: a "radio", a "menu", or a "slider" that stops at each. start: its index.

    more: texts, what stands for each, by default itself; spoken, for a slider, what a screen reader says of each.
    """
    page = {"kind": kind, "label": label, "texts": [str(option) for option in options], "tip": tip}
    if kind == "slider":
        page |= {"min": 0, "max": len(options) - 1, "step": 1}
    return Control(page | more, start, list(options).__getitem__)


def number(label: str, tip: str, **more) -> Control:
    """A whole number from 0. more: more="new z" for a button that adds one, beside=True for no row of its own."""
    return Control({"kind": "number", "label": label, "tip": tip} | more, 0)


def beta_slider(betas: Sequence[float], label: Callable[[float], str] = beta_label) -> Control:
    """A slider over increasing β, which stops at each; it starts in the middle."""
    return choice(
        "slider", "β", betas, len(betas) // 2,
        "weight of the KL: squared error averaged over pixels, KL summed over dimensions",
        texts=[label(b) for b in betas],
        spoken=[f"{label(b)}, which is {effective_beta(b):.3g} squared error per nat" for b in betas],
    )  # fmt: skip


class Explorer(anywidget.AnyWidget):
    """`render(**settings)` under its controls, drawn again whenever one of them changes.

    values: the controls' numbers by name, to and from the page; shown: what the page shows, and of which values.
    """

    _esm = Path(__file__).with_name("explorer.js")
    _css = Path(__file__).with_name("explorer.css")
    title = Unicode().tag(sync=True)
    controls = List().tag(sync=True)
    values = Dict().tag(sync=True)
    shown = Dict().tag(sync=True)

    def __init__(self, title: str, render: Callable[..., View], **controls: Control) -> None:
        self._render, self._meanings = render, {name: control.meaning for name, control in controls.items()}
        super().__init__(
            title=title,
            controls=[{"name": name} | control.page for name, control in controls.items()],
            values={name: control.start for name, control in controls.items()},
            shown={"values": {}, "problem": "", "said": [], "pictures": [], "alts": []},
        )
        self.observe(self._draw, names="values")
        self._draw()

    def _draw(self, change=None) -> None:
        answer = {"values": self.values, "problem": ""}
        try:
            view = self._render(**{name: self._meanings[name](number) for name, number in self.values.items()})
        except (ValueError, IndexError) as error:
            answer["problem"] = f"Not possible, the picture stays as it was: {error}"
        except Exception as error:
            if change is None:  # in a cell, which shows it
                raise
            answer["problem"] = f"This failed, the picture stays as it was: {type(error).__name__}: {error}"
        else:
            pictures = [png(picture) for picture in view.pictures]
            answer |= {"said": list(view.said.items()), "pictures": pictures, "alts": list(view.alts)}
        self.shown = self.shown | answer  # in one message: pictures and words of one setting

    def __repr__(self) -> str:
        return f"Explorer({self.title!r})"
