"""Draw a simulation's outcome: how latencies spread, and how the run went."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil, floor, log10
from operator import itemgetter
from typing import TYPE_CHECKING, TypeAlias

from hexplan.render import words
from hexplan.render.picture import COLOURS, Kind, Size, picture
from hexplan.results.outcome import Outcome, TimePoint

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH_INCHES, PANEL_INCHES, ROW_INCHES = 10.0, 2.1, 0.07
"""Width of the picture, height of a panel, and height of a stage's row in a map."""
MARKED_PERCENTILES = (50, 90, 99)
NAMED_ROWS = 14
"""How many stages a map names at most."""
BESIDE = 1.015
"""Where legends start, in widths of the panel: to the right of all data."""
PLAIN = "{x:,.10g}"
"""How an axis writes numbers."""
LEAST_S = 1e-6
"""Where a logarithmic axis draws a time of 0."""

Panel: TypeAlias = Callable[["Axes"], None]


@dataclass(frozen=True, slots=True)
class _Curve:
    """One line of a panel, and its name in the legend."""

    name: str
    values: Sequence[float]


@dataclass(frozen=True, slots=True)
class _Measure:
    """A figure of every stage, drawn over time."""

    title: str
    unit: str
    of_point: Callable[[TimePoint], Sequence[float]]
    means: tuple[float, ...]
    """Per stage, over the measured time."""
    tell: Callable[[float], str]
    """Writes a mean."""
    is_share: bool
    """Whether it ends at 100 %; if not, values may differ by powers of ten."""


def outcome_picture(outcome: Outcome, kind: Kind) -> bytes:
    """Return a picture of the latencies, and of rates, requests and stages over time.

    Each stage is a line if there are enough colours, and a row of a map if not.
    """
    tall_inches = max(PANEL_INCHES, ROW_INCHES * len(outcome.stages) + 0.6)
    panels: list[tuple[float, Panel]] = [
        (1.4 * PANEL_INCHES, partial(_draw_latencies, outcome)),
        (PANEL_INCHES, partial(_draw_rates, outcome)),
        (PANEL_INCHES, partial(_draw_requests, outcome)),
        *((tall_inches, partial(_draw_stages, outcome, m)) for m in _measures(outcome)),
    ]
    heights_inches = [height for height, _ in panels]

    def draw(figure: Figure) -> None:
        figure.suptitle(_headline(outcome))
        grid = figure.subplots(len(panels), squeeze=False, height_ratios=heights_inches)
        for axes, (_, draw_panel) in zip(grid[:, 0], panels, strict=True):
            draw_panel(axes)

    return picture(draw, kind, Size(WIDTH_INCHES, sum(heights_inches)))


def _headline(outcome: Outcome) -> str:
    return (
        f"{words.count(outcome.finished, 'request')} finished in {outcome.duration_s:,.0f}"
        f" simulated seconds; policy {outcome.policy}, seed {outcome.seed}"
    )


def _draw_latencies(outcome: Outcome, axes: Axes) -> None:
    axes.set(title="Latency", xscale="log", xlabel="time", ylim=(0, 103))
    axes.set_ylabel("requests that\ntake at most this, %")
    axes.set_yticks([0, 25, *MARKED_PERCENTILES])
    slo = outcome.slo
    spreads = (
        ("first token (TTFT)", outcome.ttft, slo.ttft_s if slo else None),
        ("per token (TPOT)", outcome.tpot, slo.tpot_s if slo else None),
        ("between tokens (ITL)", outcome.itl, None),
        ("whole request", outcome.e2e, None),
    )
    marked = [percentile - 1 for percentile in MARKED_PERCENTILES]
    shown_s = []
    for colour, (name, spread, promised_s) in zip(COLOURS, spreads, strict=False):
        if spread is None:
            continue
        values_s = [max(value_s, LEAST_S) for value_s in spread.percentiles_s]
        told = ", ".join(words.latency(spread.percentiles_s[place]) for place in marked)
        label = f"{name}\n{told}"
        axes.plot(values_s, range(1, 100), "o-", markevery=marked, color=colour, label=label)
        shown_s += values_s
        if promised_s is not None:
            label = f"promised: {words.latency(promised_s)}"
            axes.axvline(promised_s, color=colour, linestyle="--", label=label)
            shown_s.append(promised_s)
    if shown_s:
        axes.set_xlim(*_decades(shown_s))
        _name_beside(axes, f"at {', '.join(f'p{p}' for p in MARKED_PERCENTILES)}")
    else:
        axes.set_title("Latency: no request was finished")
    axes.xaxis.set_minor_formatter("")
    axes.xaxis.set_major_formatter(lambda value_s, _: words.latency(value_s))


def _decades(values: Sequence[float]) -> tuple[float, float]:
    """Return the powers of ten below and above some values."""
    low = floor(log10(min(values)))
    return 10.0**low, 10.0 ** max(ceil(log10(max(values))), low + 1)


def _draw_rates(outcome: Outcome, axes: Axes) -> None:
    axes.set(title="Output", ylabel="tokens/s")
    rates = [point.output_tokens_per_s for point in outcome.timeline]
    _draw_lines(outcome, axes, [_Curve(f"mean {outcome.output_tokens_per_s:,.1f}", rates)])


def _draw_requests(outcome: Outcome, axes: Axes) -> None:
    axes.set(title="Requests", ylabel="requests")
    curves = [
        _Curve("running", [float(point.running) for point in outcome.timeline]),
        _Curve("waiting", [float(point.waiting) for point in outcome.timeline]),
    ]
    _draw_lines(outcome, axes, curves)


def _measures(outcome: Outcome) -> tuple[_Measure, ...]:
    uses = outcome.stages
    return (
        _Measure(
            title="Computing",
            unit="share of time, %",
            of_point=lambda point: [100 * share for share in point.busy],
            means=tuple(use.busy for use in uses),
            tell=words.percent,
            is_share=True,
        ),
        _Measure(
            title="KV cache kept",
            unit="share of cache, %",
            of_point=lambda point: [100 * share for share in point.kv],
            means=tuple(use.mean_kv for use in uses),
            tell=words.percent,
            is_share=True,
        ),
        _Measure(
            title="Waiting at stages",
            unit="tokens",
            of_point=lambda point: point.queued_tokens,
            means=tuple(use.mean_queued_tokens for use in uses),
            tell="{:,.1f}".format,
            is_share=False,
        ),
    )


def _draw_stages(outcome: Outcome, measure: _Measure, axes: Axes) -> None:
    axes.set_title(_stages_title(outcome, measure))
    points = [measure.of_point(point) for point in outcome.timeline]
    rows = list(zip(*points, strict=True)) or [()] * len(outcome.stages)
    if points and len(rows) > len(COLOURS):
        _draw_map(outcome, measure, rows, axes)
        return
    axes.set_ylabel(measure.unit)
    means = map(measure.tell, measure.means)
    names = [f"{name}: {told}" for name, told in zip(_stage_names(outcome), means, strict=True)]
    _draw_lines(outcome, axes, list(map(_Curve, names, rows)))
    if measure.is_share:
        axes.set_ylim(top=100.0)


def _stages_title(outcome: Outcome, measure: _Measure) -> str:
    """Return a title: the measure, its mean over the stages, and where it is largest."""
    if len(measure.means) == 1:
        return measure.title
    most, name = max(zip(measure.means, _stage_names(outcome), strict=True), key=itemgetter(0))
    mean = sum(measure.means) / len(measure.means)
    return f"{measure.title}: mean {measure.tell(mean)}, most at {name} with {measure.tell(most)}"


def _stage_names(outcome: Outcome) -> list[str]:
    ids = [words.printable(use.stage) for use in outcome.stages]
    return [
        f"stage {name}" if use.phase == "both" else f"stage {name} ({use.phase})"
        for name, use in zip(ids, outcome.stages, strict=True)
    ]


def _draw_map(
    outcome: Outcome, measure: _Measure, rows: Sequence[Sequence[float]], axes: Axes
) -> None:
    """Draw a row for each stage and a colour for each value."""
    colours = axes.pcolormesh(
        [0.0, *(point.at_s for point in outcome.timeline)],
        range(len(rows) + 1),
        rows,
        norm="linear" if measure.is_share else "symlog",
        vmin=0.0,
        vmax=100.0 if measure.is_share else max(1, *map(max, rows)),
        cmap="cividis",
        rasterized=True,
    )
    named = range(0, len(rows), ceil(len(rows) / NAMED_ROWS))
    names = [words.printable(use.stage) for use in outcome.stages]
    axes.set_yticks([row + 0.5 for row in named], [names[row] for row in named])
    axes.invert_yaxis()
    axes.grid(visible=False)
    if outcome.warmup_s > 0:
        axes.axvline(outcome.warmup_s, color="white", linestyle="--")
    beside = axes.inset_axes((BESIDE, 0.0, 0.02, 1.0))
    axes.figure.colorbar(colours, cax=beside, label=measure.unit, format=PLAIN)
    _span_time(outcome, axes)


def _draw_lines(outcome: Outcome, axes: Axes, curves: Sequence[_Curve]) -> None:
    """Draw values over time; the warm-up, which was not measured, has a grey background."""
    times_s = [point.at_s for point in outcome.timeline]
    for colour, curve in zip(COLOURS, curves, strict=False):
        axes.plot(times_s, curve.values, color=colour, label=curve.name, linewidth=1.2)
    if outcome.warmup_s > 0:
        axes.axvspan(0.0, outcome.warmup_s, color="#eeeeee", label="warm-up, left out", zorder=0)
    axes.set_ylim(bottom=0.0)
    axes.yaxis.set_major_formatter(PLAIN)
    _span_time(outcome, axes)
    _name_beside(axes)


def _span_time(outcome: Outcome, axes: Axes) -> None:
    axes.set(xlim=(0.0, max(outcome.duration_s, LEAST_S)), xlabel="simulated time, s")


def _name_beside(axes: Axes, title: str | None = None) -> None:
    """Put the legend beside the panel, where it covers no data."""
    axes.legend(
        title=title,
        loc="upper left",
        bbox_to_anchor=(BESIDE, 1.0),
        borderaxespad=0.0,
        fontsize="small",
        title_fontsize="small",
        alignment="left",
    )
