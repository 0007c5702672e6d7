"""Prefixes: which requests' keys and values a new one may begin with, and what they keep for it.

A request that is over leaves the whole blocks of its context behind, as long as nobody needs their
room. This module knows what every stage has, as stages do what they are told: they copy, keep and
free by messages alone. So all stages of a route begin a request at the same token.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from hexplan.plan import Plan
from hexplan_runtime.batch import BLOCK_TOKENS, NOTHING, Prefix, whole_blocks


@dataclass(slots=True)
class _Node:
    """A prefix of whole blocks, by its last block; the root stands for the empty one."""

    after: dict[tuple[int, ...], _Node] = field(default_factory=dict)
    holders: dict[int, None] = field(default_factory=dict)
    """Requests that have it on all stages of their routes; the latest is last."""


class Prefixes:
    """A tree of the blocks of tokens whose keys and values are on the stages of some route.

    Whether two prefixes are equal is decided by their tokens, not by hashes alone.
    """

    def __init__(self, plan: Plan) -> None:
        self._enters = _enters(plan)
        self._root = _Node()
        self._held: dict[int, tuple[int, tuple[int, ...]]] = {}
        """Route and tokens of each holder."""

    def grow(self, plan: Plan) -> None:
        """Take a plan with more routes."""
        self._enters = _enters(plan)

    def add(self, request: int, route: int, tokens: Sequence[int]) -> None:
        """Note that all stages of a route have a request's keys and values of these tokens."""
        known = tuple(tokens[: whole_blocks(len(tokens))])
        self._held[request] = route, known
        node = self._root
        for block in _blocks(known):
            node = node.after.setdefault(block, _Node())
            node.holders.pop(request, None)
            node.holders[request] = None

    def remove(self, request: int) -> None:
        """Forget a request; one that is not known is left."""
        _, known = self._held.pop(request, (0, ()))
        node = self._root
        for block in _blocks(known):
            after = node.after[block]
            del after.holders[request]
            if not after.holders:
                del node.after[block]
            node = after

    def find(self, route: int, tokens: Sequence[int]) -> Prefix:
        """Return the longest known prefix of a prompt, which leaves a token to run at least.

        Every stage of the route has it for all layers that the route runs there.
        """
        num_tokens, sources = 0, list[int]()
        node = self._root
        for block in _blocks(tuple(tokens[: len(tokens) - 1])):
            after = node.after.get(block)
            if after is None or len(found := self._sources(route, after)) < len(
                self._enters[route]
            ):
                break
            node, sources = after, found
            num_tokens += BLOCK_TOKENS
        return Prefix(num_tokens, tuple(sources)) if num_tokens else NOTHING

    def _sources(self, route: int, node: _Node) -> list[int]:
        """Return a holder for each stage of a route, as far as there are some."""
        found = []
        for stage, enter in self._enters[route].items():
            for holder in reversed(node.holders):
                at = self._enters[self._held[holder][0]].get(stage)
                if at is not None and at <= enter:
                    found.append(holder)
                    break
        return found


def _enters(plan: Plan) -> list[dict[str, int]]:
    return [{hop.stage: hop.enter_layer for hop in route.hops} for route in plan.routes]


def _blocks(tokens: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Yield the whole blocks of some tokens."""
    for end in range(BLOCK_TOKENS, len(tokens) + 1, BLOCK_TOKENS):
        yield tokens[end - BLOCK_TOKENS : end]
