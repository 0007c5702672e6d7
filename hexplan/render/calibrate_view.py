"""Show a calibration to people: stages, edges, their corrections, and what is in doubt."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from itertools import groupby
from typing import TYPE_CHECKING

from hexplan.render import words
from hexplan.render.sections import Part, Section, sections_text, table

if TYPE_CHECKING:
    from hexplan.measured.calibration.calibrate import Calibration, StageComparison

_STAGE_HEADINGS = ("stage", "devices", "busy", "phase", "steps", "ratio", "spread", "corrected")
_EDGE_HEADINGS = ("edge", "messages", "bytes", "predicted", "ratio", "spread")


def calibration_text(found: Calibration) -> str:
    """Return the comparison as it should be printed on stdout."""
    return sections_text(_sections(found))


def calibration_json(found: Calibration) -> str:
    """Return the comparison as JSON."""
    return found.model_dump_json(indent=2) + "\n"


def _sections(found: Calibration) -> Iterator[Section]:
    yield Section("", _headline(found))
    if found.stages:
        yield Section("Stages", _stages(found))
    if found.groups:
        yield Section("Corrections", _corrections(found))
    if found.edges:
        yield Section("Edges", _edges(found))
    if found.remarks:
        yield Section("Remarks", iter(found.remarks))


def _headline(found: Calibration) -> Iterator[Part]:
    number = sum(phase.num_steps for stage in found.stages for phase in stage.phases)
    launches = words.count(found.num_launches, "launch")
    yield f"{found.plan}: {words.count(number, 'step')} of {launches} on {found.hardware}"
    yield "ratio: the median of observed over predicted seconds; 2 is twice as slow as predicted"


def _stages(found: Calibration) -> Iterator[Part]:
    rows = [row for stage in found.stages for row in _stage_rows(stage)]
    yield table(_STAGE_HEADINGS, rows, 4)


def _stage_rows(stage: StageComparison) -> Iterator[tuple[str, ...]]:
    counts = [(name, len(list(same))) for name, same in groupby(sorted(stage.devices))]
    devices = " + ".join(f"{number} x {name}" for name, number in counts)
    for index, phase in enumerate(stage.phases):
        after = phase.corrected_ratio
        yield (
            stage.stage if not index else "",
            devices if not index else "",
            words.percent(stage.busy) if not index else "",
            phase.phase,
            f"{phase.num_steps:,}",
            words.times(phase.ratio),
            words.percent(phase.spread),
            "" if after is None else words.times(after),
        )


def _corrections(found: Calibration) -> Iterator[Part]:
    for group in found.groups:
        fit = group.correction
        step = f", and {words.brief(float(fit.layer_step_s))} a step and layer" * bool(
            fit.layer_step_s
        )
        factors = f"prefill x {float(fit.prefill):.3g}, decode x {float(fit.decode):.3g}{step}"
        yield f"{fit.tp} x {fit.device}: {factors}, within {words.percent(fit.error)}"
        yield from (f"  not sure: {doubt}" for doubt in group.doubts)


def _edges(found: Calibration) -> Iterator[Part]:
    rows = [
        (
            f"{edge.source} > {edge.target}",
            f"{edge.num_messages:,}",
            f"{edge.median_bytes:,}",
            words.brief(edge.predicted_s),
            words.times(edge.ratio),
            words.percent(edge.spread),
        )
        for edge in found.edges
    ]
    yield table(_EDGE_HEADINGS, rows, 5)
    for fit in found.links:
        link, carried = fit.link, words.bandwidth(Decimal(fit.link.bandwidth_bytes_per_s))
        figures = f"{carried}, {words.brief(float(link.latency_s))}"
        yield f"off: {link.source} > {link.target} behaved like a link of {figures}"
