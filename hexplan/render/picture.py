"""Pictures as SVG or PNG, drawn by matplotlib, which is imported when one is drawn."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from hexplan.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Kind: TypeAlias = Literal["svg", "png"]
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Colours that the colour-blind tell apart (Okabe and Ito, without their yellow)."""
LOOK = {
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": "medium",
    "axes.titleweight": "bold",
    "figure.constrained_layout.h_pad": 0.1,
    "figure.constrained_layout.w_pad": 0.1,
    "grid.color": "#dddddd",
    "legend.frameon": False,
    "savefig.dpi": 120,
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "hexplan",  # else ids are drawn at random
    "text.parse_math": False,  # names may have dollar signs
}


def picture_kind(option: str, path: Path) -> Kind:
    """Return what kind of picture a file's name asks for.

    Raises
    ------
    InputError
        If it asks for neither, or if matplotlib is not installed.
    """
    kinds: tuple[Kind, ...] = get_args(Kind)
    kind = next((kind for kind in kinds if path.suffix.lower() == f".{kind}"), None)
    if kind is None:
        message = f"{option}: found {path.name}, needed a name that ends in .svg or .png"
        raise InputError(message, hint=f"such as `{option} plot.svg`")
    if find_spec("matplotlib") is None:
        message = "`matplotlib` is not installed, and drawing needs it"
        raise InputError(message, hint='`pip install "hexplan[plot]"`')
    return kind


def picture(draw: Callable[[Figure], None], kind: Kind, size_inches: tuple[float, float]) -> bytes:
    """Return what `draw` draws into a figure: the same bytes for the same drawing.

    What a user's matplotlibrc says plays no part, and no state of pyplot is touched.
    """
    from matplotlib import style
    from matplotlib.figure import Figure

    content = BytesIO()
    with style.context(["default", LOOK]):
        figure = Figure(figsize=size_inches, layout="constrained")
        draw(figure)
        _fix_layout(figure)
        unsaid = {"svg": ("Creator", "Date"), "png": ("Software",)}[kind]
        figure.savefig(content, format=kind, metadata=dict.fromkeys(unsaid))
    return content.getvalue()


def _fix_layout(figure: Figure) -> None:
    """Lay a figure out, and round where its panels lie.

    The last digits of a layout differ from time to time, and ids in an SVG come from all digits.
    """
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axes in figure.axes:
        left, bottom, width, height = axes.get_position().bounds
        axes.set_position((round(left, 4), round(bottom, 4), round(width, 4), round(height, 4)))
