"""Draw solve time and gap over the size of the cluster, as an SVG written by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import log10

WIDTH, HEIGHT, MARGIN = 640, 320, 56
TIME_COLOUR, GAP_COLOUR = "#1f5fa8", "#b3501b"


@dataclass(frozen=True, slots=True)
class Point:
    """One solved cluster."""

    devices: int
    solve_s: float
    gap: float


def plot(points: Sequence[Point]) -> str:
    """Return the SVG: time on a logarithmic axis at the left, the gap in per cent at the right."""
    top = max(3.0, *(100 * p.gap for p in points))
    shown_s = [max(p.solve_s, 0.1) for p in points]
    low, high = log10(min(shown_s)) - 0.2, log10(max(shown_s)) + 0.2
    across = _scale(log10(points[0].devices), log10(points[-1].devices), MARGIN, WIDTH - MARGIN)
    time_y = _scale(low, high, HEIGHT - MARGIN, MARGIN)
    gap_y = _scale(0.0, top, HEIGHT - MARGIN, MARGIN)
    xs = [across(log10(p.devices)) for p in points]
    times = [(x, time_y(log10(s))) for x, s in zip(xs, shown_s, strict=True)]
    gaps = [(x, gap_y(100 * p.gap)) for x, p in zip(xs, points, strict=True)]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"'
        ' font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        *_line(times, TIME_COLOUR, [f"{p.solve_s:.1f} s" for p in points], -10),
        *_line(gaps, GAP_COLOUR, [f"{p.gap:.1%}" for p in points], 18),
        *(_text(x, HEIGHT - 32, str(p.devices)) for x, p in zip(xs, points, strict=True)),
        _text(WIDTH / 2, HEIGHT - 10, "devices"),
        _text(MARGIN + 60, 20, "solve time (log)", TIME_COLOUR),
        _text(WIDTH - MARGIN - 60, 20, "proved gap", GAP_COLOUR),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _scale(low: float, high: float, start: float, stop: float) -> Callable[[float], float]:
    width = high - low or 1.0
    return lambda value: start + (value - low) / width * (stop - start)


def _line(
    places: Sequence[tuple[float, float]], colour: str, labels: Sequence[str], shift: int
) -> list[str]:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dots = [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]
    marks = [_text(x, y + shift, s, colour) for (x, y), s in zip(places, labels, strict=True)]
    return [
        f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>',
        *dots,
        *marks,
    ]


def _text(x: float, y: float, text: str, colour: str = "#333") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="middle" fill="{colour}">{text}</text>'
