"""Turns: what the engine makes of news, and what is to be sent for it."""

from __future__ import annotations

from dataclasses import dataclass, field

from hexplan_runtime.engine.flight import EntryRow
from hexplan_runtime.request import TokenEvent


@dataclass(slots=True)
class Turn:
    """What the engine makes of news."""

    events: list[TokenEvent] = field(default_factory=list)
    """New tokens, for whoever asked for them."""
    notices: list[EntryRow] = field(default_factory=list)
    """What ends requests or tells how much room they have."""
    decodes: list[list[EntryRow]] = field(default_factory=list)
    """Micro-batches; each goes to one stage, together."""
    prompts: list[EntryRow] = field(default_factory=list)
    """Pieces of prompts."""
    admitted: list[int] = field(default_factory=list)
    """Tickets of requests that found room."""

    def batches(self) -> list[list[EntryRow]]:
        """Return the micro-batches; notices go with the first for their stage, or alone."""
        batches = [list(batch) for batch in self.decodes]
        first: dict[str, list[EntryRow]] = {}
        for batch in batches:
            first.setdefault(batch[0].stage, batch)
        for row in self.notices:
            if row.stage not in first:
                first[row.stage] = []
                batches.append(first[row.stage])
            first[row.stage].append(row)
        return batches
