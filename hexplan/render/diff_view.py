"""Show what differs between two plans: figures, stages, flows, and what requests notice."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from hexplan.field_types import Range
from hexplan.plan import Phase
from hexplan.render import words
from hexplan.render.sections import Part, Section, sections_text, table
from hexplan.results.difference import Difference, Figure, StageChange


def difference_text(found: Difference) -> str:
    """Return the difference as `diff` prints it on stdout."""
    return "no difference\n" if found.is_empty else sections_text(_sections(found))


def difference_json(found: Difference) -> str:
    """Return the difference as JSON."""
    return found.model_dump_json(indent=2) + "\n"


def _sections(found: Difference) -> Iterator[Section]:
    if found.inputs:
        yield Section("", (f"made for another {' and '.join(found.inputs)}",))
    if found.figures:
        yield Section("Predicted", _figures(found))
    if found.stages:
        yield Section("Stages", _stages(found))
    if found.edges:
        yield Section("Flow", _edges(found))
    if found.has_other_handovers:
        yield Section("Handovers", ["  requests go from prefill to decode by other ways"])
    yield Section("What requests notice", (f"  {line}" for line in _noticed(found)))


def _figures(found: Difference) -> Iterator[Part]:
    rows = [
        (f"{one.name}, {one.unit}", _value(one, one.before), _value(one, one.after), _ratio(one))
        for one in found.figures
    ]
    yield table(("", "before", "after", "times"), rows, 3)


def _value(figure: Figure, value: Decimal | None) -> str:
    if value is None:
        return "-"
    return words.latency(float(value)) if figure.unit == "s" else words.rate(value)


def _ratio(figure: Figure) -> str:
    return f"{figure.after / figure.before:.3f}" if figure.before and figure.after else "-"


def _stages(found: Difference) -> Iterator[Part]:
    rows = [
        (
            words.printable(_name(one)),
            one.change,
            _layers(one.before, one.phases[0]),
            _layers(one.after, one.phases[1]),
            f"{one.kv_tokens[0]:,}",
            f"{one.kv_tokens[1]:,}",
            words.size(one.fetched_bytes) if one.fetched_bytes else "-",
        )
        for one in found.stages
    ]
    headings = ("devices", "", "layers", "now", "KV tokens", "now", "to load")
    yield table(headings, rows, 3)
    yield f"  {words.size(found.fetched_bytes)} to load in all"


def _edges(found: Difference) -> Iterator[Part]:
    rows = [
        (
            words.printable(f"{one.source} > {one.target}"),
            words.rate(one.before_tokens_per_s) if one.before_tokens_per_s else "-",
            words.rate(one.after_tokens_per_s) if one.after_tokens_per_s else "-",
        )
        for one in found.edges
    ]
    yield table(("edge", "tokens/s", "now"), rows, 2)


def _noticed(found: Difference) -> Iterator[str]:
    lost = [one for one in found.stages if one.before is not None and not one.keeps_requests]
    if "model" in found.inputs:
        yield "another model answers"
    elif lost:
        names = ", ".join(words.printable(_name(one)) for one in lost)
        yield f"requests in flight on {names} have to start again elsewhere, or end first"
    smaller = [
        one for one in found.stages if one.keeps_requests and one.kv_tokens[1] < one.kv_tokens[0]
    ]
    if smaller:
        names = ", ".join(words.printable(_name(one)) for one in smaller)
        yield f"less KV room on {names}: some requests may have to be computed again"
    if not lost and not smaller and "model" not in found.inputs:
        yield "requests in flight go on; new ones take the new routes"


def _name(stage: StageChange) -> str:
    return f"{stage.host}:{','.join(map(str, stage.devices))}"


def _layers(layers: Range | None, phase: Phase) -> str:
    if layers is None:
        return "-"
    return words.span(layers) if phase == "both" else f"{words.span(layers)} {phase}"
