"""Choices: who runs by the order of all requests, and who makes way for one without room."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import islice

from hexplan.schedule.kv_growth import Share, who_makes_way
from hexplan.schedule.kv_space import KvHold, KvSpace


def who_runs(ordered: Sequence[int], held: Collection[int], most: int) -> frozenset[int]:
    """Return the requests that decode: the first that hold room, so many at most."""
    return frozenset(islice((number for number in ordered if number in held), most))


def who_stops(
    space: KvSpace, want: Share, held: Sequence[Share], leaving: Sequence[Share]
) -> list[int] | None:
    """Return the places of those that make way so that one request finds room, the last first.

    Nobody has to if it is about to find some. None if it would find none although all after it had
    gone.

    Parameters
    ----------
    want
        What it needs; its age is its place in the order.
    held
        What others hold that may be moved, each with its place.
    leaving
        What is about to be free.
    """
    itself = Share(want.age, want.holds, 0)
    gone = who_makes_way(space, [want], [*held, itself], leaving)
    return None if want.age in gone else gone


def spare_room(space: KvSpace, holds: Sequence[KvHold], share: float) -> bool:
    """Say whether every one of some stages has a share of its cache free."""
    return all(
        space.capacity[hold.stage] - space.reserved[hold.stage]
        >= share * space.capacity[hold.stage]
        for hold in holds
    )
