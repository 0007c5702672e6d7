"""Horizontal bars as SVG: what share of the proved bound each method reaches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, LABEL, BAR = 720, 170, 400
"""Pixels: of the picture, of the names, and of a bar that reaches the bound."""
ROW, TITLE, GAP = 18, 24, 10
OURS, OTHERS, INK = "#2a7ae2", "#9aa5b1", "#6b7280"


@dataclass(frozen=True, slots=True)
class Bar:
    """One method's flow."""

    name: str
    value: float
    share: float
    """Of the bound."""
    is_ours: bool


def bars_svg(groups: Sequence[tuple[str, Sequence[Bar]]], caption: str) -> str:
    """Draw groups of bars under their titles; it reads on a light and on a dark page."""
    parts, y = [], 20
    parts.append(_text(0, y, caption, "12"))
    for title, bars in groups:
        y += TITLE + GAP
        parts.append(_text(0, y, title, "13", "bold"))
        for bar in bars:
            y += ROW
            width = round(BAR * bar.share, 1)
            colour = OURS if bar.is_ours else OTHERS
            parts.append(_text(LABEL - 8, y, bar.name, "12", anchor="end"))
            parts.append(
                f'<rect x="{LABEL}" y="{y - 11}" width="{width}" height="13" fill="{colour}"/>'
            )
            told = f"{bar.value:,.1f} ({bar.share:.0%})" if bar.value else "no plan"
            parts.append(_text(LABEL + width + 6, y, told, "11"))
    height = y + 14
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}"'
    style = f'font-family="sans-serif" fill="{INK}" role="img">'
    return "\n".join([f"{head} {style}", *parts, "</svg>", ""])


def _text(
    x: float, y: float, words: str, size: str, weight: str = "normal", anchor: str = "start"
) -> str:
    look = f'font-size="{size}" font-weight="{weight}" text-anchor="{anchor}"'
    return f'<text x="{x:g}" y="{y:g}" {look}>{escape(words)}</text>'
