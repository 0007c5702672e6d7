"""Draw pictures as SVG or PNG with matplotlib, which is imported only then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from hexplan.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Kind: TypeAlias = Literal["svg", "png"]
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Colours that colour-blind people can tell apart (Okabe and Ito's, without the yellow)."""
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
    "svg.hashsalt": "hexplan",  # without it, ids are random
    "text.parse_math": False,  # names may have dollar signs
}


@dataclass(frozen=True, slots=True)
class Size:
    """The size of a picture."""

    width_inches: float
    height_inches: float


def picture_kind(option: str, path: Path) -> Kind:
    """Return the kind of picture that a file's name asks for.

    Raises
    ------
    InputError
        If the name ends in neither .svg nor .png, or if matplotlib is not installed.
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


def picture(draw: Callable[[Figure], None], kind: Kind, size: Size) -> bytes:
    """Return what `draw` draws into a figure: the same bytes for the same drawing.

    The user's matplotlibrc has no effect, and the state of pyplot does not change.
    """
    from matplotlib import style
    from matplotlib.figure import Figure

    content = BytesIO()
    with style.context(["default", LOOK]):
        figure = Figure(figsize=(size.width_inches, size.height_inches), layout="constrained")
        draw(figure)
        _fix_layout(figure)
        unsaid = {"svg": ("Creator", "Date"), "png": ("Software",)}[kind]
        figure.savefig(content, format=kind, metadata=dict.fromkeys(unsaid))
    return content.getvalue()


def _fix_layout(figure: Figure) -> None:
    """Lay a figure out, and round the positions of its panels.

    Their last digits vary from run to run, and the ids in an SVG depend on all digits.
    """
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axes in figure.axes:
        left, bottom, width, height = axes.get_position().bounds
        axes.set_position((round(left, 4), round(bottom, 4), round(width, 4), round(height, 4)))
