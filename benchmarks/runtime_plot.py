"""Draw the runtime's table: how many times as fast as transformers one stage runs its steps.

    python benchmarks/runtime_plot.py TABLE FILE

TABLE is what runtime.py printed, such as docs/benchmarks.md; FILE ends in .svg or .png.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from table import columns, draw

from hexplan.render import Kind, picture
from hexplan.render.picture import COLOURS, Size

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH_INCHES, ROW_INCHES, AROUND_INCHES = 8.0, 0.26, 1.1
"""Width, and heights of a row and of the space around the rows."""


def runtime_picture(table: str, kind: Kind) -> bytes:
    """Return the picture of a table that runtime.py printed."""
    rows = columns(table, ("model", "type", "batch", "ratio", "ratio"))
    height_inches = ROW_INCHES * len(rows) + AROUND_INCHES
    return picture(partial(_draw, rows), kind, Size(WIDTH_INCHES, height_inches))


def _draw(rows: list[tuple[str, ...]], figure: Figure) -> None:
    figure.suptitle("Steps of one stage on one thread: transformers' time over ours")
    panels = figure.subplots(1, 2, sharey=True)
    names = [f"{model} {kind}, batch {batch}" for model, kind, batch, *_ in rows]
    for place, (axes, title) in enumerate(zip(panels, ("prompts", "decodes"), strict=True)):
        ratios = [float(row[3 + place].split()[0]) for row in rows]
        axes.set_title(title, fontsize=9)
        _draw_panel(axes, ratios, COLOURS[place])
    panels[0].set_yticks(range(len(names)), names, fontsize=8)
    panels[0].invert_yaxis()


def _draw_panel(axes: Axes, ratios: list[float], colour: str) -> None:
    axes.barh(range(len(ratios)), ratios, color=colour)
    for row, ratio in enumerate(ratios):
        axes.text(ratio + 0.03, row, f"{ratio:.2f}", fontsize=8, verticalalignment="center")
    axes.axvline(1.0, color="black", linestyle="--", linewidth=1.0)
    axes.set_xlim(0.0, 1.15 * max(*ratios, 1.0))
    axes.tick_params(axis="x", labelsize=8)
    axes.grid(visible=False, axis="y")


if __name__ == "__main__":
    draw(runtime_picture)
