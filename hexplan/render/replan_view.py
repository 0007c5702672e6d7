"""Show a replan to people: flow, bytes, time, and which hosts fetch what."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from hexplan.field_types import Range
from hexplan.render import words
from hexplan.render.sections import Part, Section, sections_text, table
from hexplan.results.replanning import Replanning

SHOWN_RANGES = 4
"""How many ranges of layers one host's line names."""
PROVED = Decimal("1.000003")
"""Bytes within this factor of the proved bound count as the fewest possible."""


def replanning_text(replanning: Replanning) -> str:
    """Return a replan's changes as `replan` prints them on stdout."""
    return sections_text(_sections(replanning))


def replanning_json(replanning: Replanning) -> str:
    """Return a replan's changes as JSON."""
    return replanning.model_dump_json(indent=2) + "\n"


def _sections(replanning: Replanning) -> Iterator[Section]:
    yield Section("", _flows(replanning))
    if replanning.gone:
        gone = (
            f"  {stage.id} (layers {words.span(stage.layers)}): {stage.reason}"
            for stage in replanning.gone
        )
        yield Section("Gone", gone)
    if replanning.notes:
        yield Section("Note", (f"  {note}" for note in replanning.notes))
    yield Section("To move", _moves(replanning))


def _flows(replanning: Replanning) -> Iterator[Part]:
    before = replanning.flow_before_tokens_per_s
    flows = [
        ("before", before),
        ("with no weight moved", replanning.flow_kept_tokens_per_s),
        ("this plan", replanning.flow_tokens_per_s),
    ]
    if replanning.mode == "routes-only":
        del flows[1]
    fresh = replanning.flow_fresh_tokens_per_s
    if fresh is not None:
        flows.append(("largest found, any weight moved", fresh))
    rows = [
        (label, words.rate(flow) if flow else "none", words.percent(flow / before))
        for label, flow in flows
    ]
    yield table(("flow", "tokens/s", "of before"), rows, 2)


def _moves(replanning: Replanning) -> Iterator[Part]:
    if not replanning.hosts:
        yield "  nothing"
        return
    rows = [
        (
            host.host,
            _layers(host.fetched_layers),
            words.size(host.moved_bytes),
            words.duration(host.estimate_s),
        )
        for host in replanning.hosts
    ]
    yield table(("host", "layers to fetch", "weights", "estimate"), rows, 2)
    total = f"  {words.size(replanning.moved_bytes)} in all"
    bound = replanning.moved_bytes_bound
    if bound is not None and replanning.moved_bytes <= bound * PROVED:
        total += ", proved the fewest"
    elif bound:
        total += f", proved to need at least {words.size(bound)}"
    if replanning.moved_bytes_fresh is not None:
        total += f"; the plan of the largest flow moves {words.size(replanning.moved_bytes_fresh)}"
    yield total
    yield (
        f"  {words.duration(replanning.estimate_s)} is an estimate: every host receives at the"
        " speed of its fastest link, all at once"
    )


def _layers(ranges: tuple[Range, ...]) -> str:
    shown = ", ".join(words.span(layers) for layers in ranges[:SHOWN_RANGES])
    return f"{shown}, ..." if len(ranges) > SHOWN_RANGES else shown
