"""Show what applying a plan does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from hexplan.render import words
from hexplan.render.sections import Part, Section, sections_text, table

if TYPE_CHECKING:
    from hexplan_runtime.control.messages import PlanChanges, StagePart


def changes_text(changes: PlanChanges) -> str:
    """Return what applying a plan does, as `apply` prints it on stdout."""
    return sections_text(_sections(changes))


def _sections(changes: PlanChanges) -> Iterator[Section]:
    if not changes.is_new:
        yield Section("", iter(["nothing changes"]))
        return
    yield Section("", _summary(changes))
    if changes.starts:
        yield Section("Starts", _parts(changes.starts))
    if changes.ends:
        yield Section("Ends", _parts(changes.ends))


def _summary(changes: PlanChanges) -> Iterator[Part]:
    if not (changes.starts or changes.ends or changes.routes_added or changes.routes_removed):
        yield "only the weights of routes change"
        return
    yield f"{_named(changes.kept, 'go')} on" if changes.kept else "every stage ends"
    yield (f"routes: {changes.routes_added} more, {changes.routes_removed} fewer")
    if changes.starts:
        weights = words.size(sum(one.bytes for one in changes.starts))
        took = words.duration(changes.estimate_s)
        yield f"to read: {weights} of weights; the launch took {took} to start with its own"
    if changes.ends_first:
        first = _named(changes.ends_first, "end")
        yield f"{first} before others start, as these need the memory"
    before, after = changes.longest_tokens
    if after < before:
        yield (
            f"the longest context shrinks from {before:,} to {after:,} tokens: longer requests that"
            " have not ended in time fail"
        )
    if changes.is_shut:
        yield "no route is left in between: requests wait until the new stages are up"


def _parts(parts: tuple[StagePart, ...]) -> Iterator[Part]:
    rows = [
        (
            one.stage,
            one.host,
            ", ".join(map(str, one.devices)),
            words.span(one.layers),
            words.size(one.bytes),
        )
        for one in parts
    ]
    yield table(("stage", "host", "devices", "layers", "weights"), rows, 1)


def _named(stages: tuple[str, ...], verb: str) -> str:
    """Return what stages do."""
    one = f"{verb}es" if verb.endswith("o") else f"{verb}s"
    return f"{', '.join(stages)}: {verb if len(stages) > 1 else one}"
