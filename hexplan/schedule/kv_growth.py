"""KV growth: what a request reserves at first, how that grows, and who makes way in a full cache.

The simulator reserves by the same rule. There a request that finds no room to grow makes way
itself; the runtime lets the youngest make way, so that the oldest always goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hexplan.schedule.kv_space import KvHold, KvSpace

PAGE_TOKENS: Final = 16
"""Tokens by which a reservation grows: a request then asks for room in every 16th step."""


def first_reservation(
    prompt_tokens: int, output_tokens: int, expected_tokens: int | None, *, is_again: bool
) -> int:
    """Return the tokens that a request reserves when it is admitted.

    Parameters
    ----------
    output_tokens
        The most that it may still emit.
    expected_tokens
        What it is expected to emit; None if all of `output_tokens` is to be reserved.
    is_again
        Whether it had to make way before. It then gets all that it needs, so that it ends.
    """
    if expected_tokens is None or is_again:
        return prompt_tokens + output_tokens
    return prompt_tokens + expected_tokens


def grown_reservation(reserved_tokens: int, most_tokens: int) -> int:
    """Return the next larger reservation of a request that may need so many tokens at most."""
    return min(reserved_tokens + PAGE_TOKENS, most_tokens)


@dataclass(frozen=True, slots=True)
class Share:
    """Tokens that a request holds, or wants besides, on each stage of its route."""

    age: int
    """The request's place in the order of arrival."""
    holds: Sequence[KvHold]
    tokens: int


def who_makes_way(
    space: KvSpace, wanted: Sequence[Share], held: Sequence[Share], leaving: Sequence[Share]
) -> list[int]:
    """Return the ages of the requests that must go so that others can grow, the youngest first.

    The oldest request never has to go, so that something always ends. Nobody goes for room that is
    about to be free anyway.

    Parameters
    ----------
    wanted
        What requests need to grow.
    held
        What all running requests hold, those that want to grow among them.
    leaving
        What requests held whose end is on its way through the stages.
    """
    free = [all_ - used for all_, used in zip(space.capacity, space.reserved, strict=True)]
    for share in leaving:
        _add(free, share, share.tokens)
    staying = sorted(held, key=lambda share: share.age)
    gone: list[int] = []
    for want in sorted(wanted, key=lambda share: share.age):
        while want.age not in gone and (full := _full_stages(free, want)):
            place = max(n for n, share in enumerate(staying) if _is_on(share, full))
            _add(free, staying[place], staying[place].tokens)
            gone.append(staying.pop(place).age)
        if want.age not in gone:
            _add(free, want, -want.tokens)
    return gone


def _full_stages(free: Sequence[int], want: Share) -> frozenset[int]:
    return frozenset(
        hold.stage for hold in want.holds if hold.layers * want.tokens > free[hold.stage]
    )


def _is_on(share: Share, stages: frozenset[int]) -> bool:
    return any(hold.stage in stages for hold in share.holds)


def _add(free: list[int], share: Share, tokens: int) -> None:
    for hold in share.holds:
        free[hold.stage] += hold.layers * tokens
