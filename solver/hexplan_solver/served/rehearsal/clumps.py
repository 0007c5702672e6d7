"""What travels in a rehearsal: clumps of decodes, by their number, and parts of prompts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


class Clump:
    """Decodes of one micro-batch of a route that are at the same place."""

    __slots__ = ("batch", "decodes", "route")

    def __init__(self, route: int, batch: int, decodes: int) -> None:
        self.route, self.batch, self.decodes = route, batch, decodes


@dataclass(slots=True, eq=False)
class Prompt:
    """A prompt on its way through a route."""

    route: int
    tokens: int
    admitted_s: float


class Part:
    """Tokens of a prompt that are at the same place."""

    __slots__ = ("prompt", "start", "tokens")

    def __init__(self, prompt: Prompt, start: int, tokens: int) -> None:
        self.prompt, self.start, self.tokens = prompt, start, tokens

    @property
    def is_end(self) -> bool:
        """Whether it carries the last token."""
        return self.start + self.tokens == self.prompt.tokens


def by_edge(clumps: Iterable[Clump], next_edge: Mapping[int, int]) -> dict[int, list[Clump]]:
    """Return clumps by the edge that each one's route takes; neighbours of one batch are joined."""
    leaving: dict[int, list[Clump]] = {}
    for clump in clumps:
        edge = next_edge[clump.route]
        there = leaving.get(edge)
        if there is None:
            leaving[edge] = [clump]
            continue
        last = there[-1]
        if last.batch == clump.batch and last.route == clump.route:
            last.decodes += clump.decodes
        else:
            there.append(clump)
    return leaving
