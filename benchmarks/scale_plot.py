"""Draw solve time and gap over the size of the cluster.

    python benchmarks/scale_plot.py TABLE FILE

TABLE is what scale.py printed, such as docs/benchmarks.md; FILE ends in .svg or .png.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from table import columns, draw

from hexplan.render import Kind, picture
from hexplan.render.picture import COLOURS, Size

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIZE = Size(6.5, 4.5)
PLAIN = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
"""Box behind a number, so that no line crosses it."""


def scale_picture(table: str, kind: Kind) -> bytes:
    """Return the picture of a table that scale.py printed."""
    rows = columns(table, ("devices", "solve", "gap"))
    return picture(partial(_draw, rows), kind, SIZE)


def _draw(rows: list[tuple[str, ...]], figure: Figure) -> None:
    devices = [int(row[0]) for row in rows]
    times, gaps = figure.subplots(2, sharex=True)
    times.set(title="Solve time", ylabel="s (logarithmic)", xscale="log", yscale="log")
    gaps.set(title="Proved gap", ylabel="%", xlabel="devices (logarithmic)")
    for place, (axes, unit) in enumerate(((times, "s"), (gaps, "%"))):
        told = [row[1 + place] for row in rows]
        least = 0.1 if axes is times else 0.0  # a logarithmic axis has no place for 0
        values = [max(float(text.rstrip(f" {unit}")), least) for text in told]
        axes.plot(devices, values, "o-", color=COLOURS[place])
        for x, y, text in zip(devices, values, told, strict=True):
            axes.annotate(text, (x, y), (0, 6), textcoords="offset points", ha="center", bbox=PLAIN)
        axes.margins(x=0.08, y=0.3)
    gaps.set_ylim(bottom=0.0)
    gaps.set_xticks(devices, map(str, devices))
    gaps.xaxis.set_minor_formatter("")
    times.yaxis.set_minor_formatter(lambda y, _: f"{y:g}" if f"{y:e}"[0] in "25" else "")
    times.yaxis.set_major_formatter("{x:g}")


if __name__ == "__main__":
    draw(scale_picture)
