"""Draw the planner's table: what share of the bound each method reaches.

    python benchmarks/planner_plot.py TABLE FILE

TABLE is what planner.py printed, such as docs/benchmarks.md; FILE ends in .svg or .png.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import groupby
from math import ceil
from operator import itemgetter
from typing import TYPE_CHECKING

from table import columns, draw

from hexplan.render import Kind, picture
from hexplan.render.picture import COLOURS, Size

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

OURS, PUBLISHED, OTHERS = COLOURS[0], COLOURS[1], "#9aa5b1"
BOUND = "*bound*"
PANELS_ACROSS = 3
PANEL_INCHES, BAR_INCHES, TITLE_INCHES, HEAD_INCHES = 4.2, 0.19, 0.8, 0.4
"""Width of a panel, and heights of a bar, of the space around the bars, and of the headline."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One spec."""

    spec: str
    bound_tokens_per_s: float
    flows: tuple[tuple[str, float | None], ...]
    """Each method and its plan's tokens/s; none where there is no plan."""


def planner_picture(table: str, kind: Kind) -> bytes:
    """Return the picture of a table that planner.py printed."""
    panels = [
        _panel(spec, [(method, flow) for _, method, flow in rows])
        for spec, rows in groupby(columns(table, ("spec", "method", "flow")), itemgetter(0))
    ]
    across = min(PANELS_ACROSS, len(panels))
    down = ceil(len(panels) / across)
    tallest = max(len(panel.flows) for panel in panels)
    height_inches = down * (BAR_INCHES * tallest + TITLE_INCHES) + HEAD_INCHES
    draw = partial(_draw, panels, (down, across))
    return picture(draw, kind, Size(PANEL_INCHES * across, height_inches))


def _panel(spec: str, rows: list[tuple[str, str]]) -> Panel:
    flows = [
        (method, None if flow.startswith("none") else float(flow.replace(",", "")))
        for method, flow in rows
    ]
    bound = next(flow for method, flow in flows if method == BOUND)
    others = tuple((method, flow) for method, flow in flows if method != BOUND)
    return Panel(spec, bound or 0.0, others)


def _draw(panels: list[Panel], shape: tuple[int, int], figure: Figure) -> None:
    figure.suptitle("Planned tokens/s by method, as a share of the bound")
    grid = list(figure.subplots(*shape, squeeze=False).flat)
    for axes, panel in zip(grid, panels, strict=False):
        _draw_panel(panel, axes)
    for axes in grid[len(panels) :]:
        axes.set_visible(False)


def _draw_panel(panel: Panel, axes: Axes) -> None:
    axes.set_title(f"{panel.spec}\nbound {panel.bound_tokens_per_s:,.1f} tokens/s", fontsize=9)
    shares = [100 * (flow or 0.0) / (panel.bound_tokens_per_s or 1.0) for _, flow in panel.flows]
    names = [method.strip("*") for method, _ in panel.flows]
    axes.barh(range(len(names)), shares, color=[_colour(name) for name in names])
    for row, (_, flow) in enumerate(panel.flows):
        told = "no plan" if flow is None else f"{flow:,.1f}"
        axes.text(103.0, row, told, fontsize=8, verticalalignment="center")
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.invert_yaxis()
    axes.axvline(100.0, color="black", linestyle="--", linewidth=1.0)
    axes.set(xlim=(0.0, 130.0), xticks=range(0, 101, 25))
    axes.xaxis.set_major_formatter("{x:.0f} %")
    axes.tick_params(axis="x", labelsize=8)
    axes.grid(visible=False, axis="y")


def _colour(name: str) -> str:
    if name == "hexplan":
        return OURS
    return PUBLISHED if "published" in name else OTHERS


if __name__ == "__main__":
    draw(planner_picture)
