"""A simulation's outcome as a picture: how latencies spread, and how the run went."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hexplan.outcome import Outcome

WIDTH, HEIGHT = 860, 300
LEFT, RIGHT, TOP, BOTTOM = 70, 150, 34, 44
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
"""Colours that the colour-blind tell apart (Okabe and Ito)."""
TICKS = 5


@dataclass(frozen=True, slots=True)
class Curve:
    """A named line."""

    name: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Axis:
    """What stands along one side of a panel."""

    title: str
    low: float
    high: float
    is_log: bool = False

    def share(self, value: float) -> float:
        """Return where a value lies between the ends, from 0 to 1."""
        if self.is_log:
            low, high = math.log(self.low), math.log(self.high)
            return (math.log(max(value, self.low)) - low) / (high - low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        """Return the values that are marked."""
        if self.is_log:
            powers = range(math.ceil(math.log10(self.low)), math.floor(math.log10(self.high)) + 1)
            return [10.0**power for power in powers]
        step = 10 ** math.floor(math.log10((self.high - self.low) / TICKS))
        step *= next(f for f in (1, 2, 5, 10) if (self.high - self.low) / (f * step) <= TICKS)
        first = math.ceil(self.low / step)
        return [step * n for n in range(first, math.floor(self.high / step) + 1)]


def outcome_svg(outcome: Outcome) -> str:
    """Return an SVG with the distribution of latencies, the tokens/s, and requests over time."""
    panels = [_latencies(outcome), _rates(outcome), _requests(outcome), _busy(outcome)]
    body = "\n".join(
        f'<g transform="translate(0,{HEIGHT * row})">\n{panel}\n</g>'
        for row, panel in enumerate(panels)
    )
    height = HEIGHT * len(panels)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}"'
        f' height="{height}" font-family="sans-serif" font-size="12">\n'
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>\n{body}\n</svg>\n'
    )


def _latencies(outcome: Outcome) -> str:
    spreads = (
        ("first token", outcome.ttft),
        ("per token", outcome.tpot),
        ("between tokens", outcome.itl),
        ("whole request", outcome.e2e),
    )
    curves = [
        Curve(name, tuple((max(s, 1e-6), float(p)) for p, s in enumerate(spread.percentiles_s, 1)))
        for name, spread in spreads
        if spread is not None
    ]
    values = [x for curve in curves for x, _ in curve.points] or [1.0]
    low, high = 10 ** math.floor(math.log10(min(values))), 10 ** math.ceil(math.log10(max(values)))
    across = Axis("seconds", low, max(high, 10 * low), is_log=True)
    return _panel("Latency: share of requests that take at most", (across, _upto("%", 100)), curves)


def _rates(outcome: Outcome) -> str:
    points = tuple((p.at_s, p.output_tokens_per_s) for p in outcome.timeline)
    return _timeline(outcome, "Output tokens per second", [Curve("tokens/s", points)])


def _requests(outcome: Outcome) -> str:
    return _timeline(
        outcome,
        "Requests",
        [
            Curve("running", tuple((p.at_s, float(p.running)) for p in outcome.timeline)),
            Curve("waiting", tuple((p.at_s, float(p.waiting)) for p in outcome.timeline)),
        ],
    )


def _busy(outcome: Outcome) -> str:
    curves = [
        Curve("busiest stage", tuple((p.at_s, 100 * max(p.busy)) for p in outcome.timeline)),
        Curve(
            "stages, mean",
            tuple((p.at_s, 100 * sum(p.busy) / len(p.busy)) for p in outcome.timeline),
        ),
        Curve("fullest KV cache", tuple((p.at_s, 100 * max(p.kv)) for p in outcome.timeline)),
    ]
    return _timeline(outcome, "Share of time busy, and of KV cache kept, in %", curves)


def _timeline(outcome: Outcome, title: str, curves: Sequence[Curve]) -> str:
    highest = max((y for curve in curves for _, y in curve.points), default=1.0)
    across = _upto("simulated seconds", max(outcome.duration_s, 1e-9))
    shaded = across.share(outcome.warmup_s)
    return _panel(title, (across, _upto("", highest * 1.05 or 1.0)), curves, shaded)


def _upto(title: str, high: float) -> Axis:
    return Axis(title, 0.0, high)


def _panel(
    title: str, axes: tuple[Axis, Axis], curves: Sequence[Curve], shaded: float = 0.0
) -> str:
    """Draw curves; the first share of the width, `shaded`, is the warm-up."""
    across, up = axes
    width, height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def x(value: float) -> float:
        return LEFT + width * across.share(value)

    def y(value: float) -> float:
        return TOP + height * (1 - up.share(value))

    lines = [f'<text x="{LEFT}" y="{TOP - 12}" font-weight="bold">{title}</text>']
    if shaded > 0:
        lines.append(_rectangle(width * shaded, height))
    for value in across.ticks():
        lines.append(_line((x(value), TOP), (x(value), TOP + height)))
        lines.append(_label(x(value), TOP + height + 16, f"{value:g}", "middle"))
    for value in up.ticks():
        lines.append(_line((LEFT, y(value)), (LEFT + width, y(value))))
        lines.append(_label(LEFT - 6, y(value) + 4, f"{value:g}", "end"))
    lines.append(_label(LEFT + width / 2, TOP + height + 34, across.title, "middle"))
    for number, curve in enumerate(curves):
        colour = COLOURS[number % len(COLOURS)]
        points = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in curve.points)
        lines.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
        )
        height_of_name = TOP + 12 + 18 * number
        lines.append(_label(LEFT + width + 10, height_of_name, curve.name, "start", colour))
    return "\n".join(lines)


def _line(begin: tuple[float, float], end: tuple[float, float]) -> str:
    return (
        f'<line x1="{begin[0]:.1f}" y1="{begin[1]:.1f}" x2="{end[0]:.1f}" y2="{end[1]:.1f}"'
        ' stroke="#ddd"/>'
    )


def _rectangle(width: float, height: float) -> str:
    return f'<rect x="{LEFT}" y="{TOP}" width="{width:.1f}" height="{height}" fill="#f0f0f0"/>'


def _label(x: float, y: float, text: str, anchor: str, colour: str = "#333") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{text}</text>'
