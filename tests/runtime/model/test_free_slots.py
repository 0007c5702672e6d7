from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hexplan.field_types import Range
from hexplan_runtime.model.free_slots import FreeSlots

ARENA = 200


def slots_of(ranges: tuple[Range, ...]) -> set[int]:
    return {slot for first, end in ranges for slot in range(first, end)}


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 90)), max_size=60))
def test_no_slot_is_held_twice_and_none_is_lost(moves: list[tuple[bool, int]]) -> None:
    free, held = FreeSlots(ARENA), list[tuple[Range, ...]]()
    for takes, number in moves:
        if takes and number <= free.count:
            held.append(free.take(number))
            assert len(slots_of(held[-1])) == number
        elif not takes and held:
            free.give_back(held.pop(number % len(held)))
        owned = [slots_of(ranges) for ranges in held]
        assert len(set().union(*owned)) == sum(map(len, owned)) == ARENA - free.count
    for ranges in held:
        free.give_back(ranges)
    assert free.take(ARENA) == ((0, ARENA),)


def test_the_shortest_range_that_is_long_enough_is_taken() -> None:
    free = FreeSlots(100)
    parts = [free.take(size) for size in (30, 5, 10, 5, 50)]
    free.give_back(parts[0])
    free.give_back(parts[2])
    assert free.take(8) == ((35, 43),)


def test_a_fragmented_arena_gives_several_ranges() -> None:
    free = FreeSlots(12)
    parts = [free.take(2) for _ in range(6)]
    for part in parts[::2]:
        free.give_back(part)
    assert free.take(5) == ((0, 2), (4, 6), (8, 9))
