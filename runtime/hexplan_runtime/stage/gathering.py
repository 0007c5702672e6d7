"""Gathering: what of all that waits at a stage goes into its next step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hexplan.step_limits import StepLimits
from hexplan_runtime.batch import MAX_ROWS, Batch, Row, cut


@dataclass(frozen=True, slots=True)
class Arrival:
    """A row that waits at a stage."""

    enter_layer: int
    """Layer where it enters."""
    batch: Batch
    """The row alone, with what it brings."""

    @property
    def row(self) -> Row:
        """The row."""
        return self.batch.rows[0]


def prompt_room(limits: StepLimits, decodes: int) -> int:
    """Return the tokens of prompts that fit beside so many decodes: a fourth at least."""
    return max(limits.tokens - decodes, limits.tokens // 4, 1)


def gather(waiting: Sequence[Arrival], limits: StepLimits) -> tuple[list[Arrival], list[Arrival]]:
    """Return what goes into the next step, and what stays, both in the order of arrival.

    Decodes have precedence. Prompts take the room that these leave, and the last one is cut to it.
    Nothing overtakes what came before it of the same request.
    """
    decodes = min(limits.decodes, sum(arrival.row.decodes for arrival in waiting))
    tokens, others = prompt_room(limits, decodes), MAX_ROWS - decodes
    taken: list[Arrival] = []
    left: list[Arrival] = []
    behind: set[int] = set()
    for arrival in waiting:
        row = arrival.row
        has_room = decodes if row.decodes else others and (tokens or row.closes)
        if row.request in behind or not has_room:
            left.append(arrival)
            behind.add(row.request)
            continue
        if row.decodes:
            decodes -= 1
        else:
            if row.tokens > tokens:
                first, rest = cut(arrival.batch, tokens)
                left.append(replace(arrival, batch=rest))
                behind.add(row.request)
                arrival = replace(arrival, batch=first)
            others -= 1
            tokens -= arrival.row.tokens
        taken.append(arrival)
    return taken, left
