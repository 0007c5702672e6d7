"""Prefixes and the shelf: what a prompt may begin with, on every stage of its route."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.runtime_plans import bare_model, make_plan

from hexplan.plan import Plan
from hexplan.schedule.kv_space import KvHold, KvSpace
from hexplan_runtime.batch import BLOCK_TOKENS, NOTHING, Prefix
from hexplan_runtime.engine.prefixes import Prefixes
from hexplan_runtime.engine.shelf import Kept, Shelf

WORDS = st.lists(st.integers(0, 1), max_size=6)
"""Blocks by their first token: two of three are equal often."""
ROUTES = st.integers(0, 3)


def crossing() -> Plan:
    """Return a plan whose routes enter s1 = [1, 4) at layers 1, 2 and 3, or do not use it."""
    stages = [((0, 2), (1,)), ((1, 4), (1,)), ((0, 1), (1,)), ((0, 3), (1,)), ((0, 4), (1,))]
    routes = [([0, 1], 25), ([2, 1], 25), ([3, 1], 25), ([4], 25)]
    return make_plan(bare_model(layers=4), stages, routes)


ENTERS = [{"s0": 0, "s1": 2}, {"s2": 0, "s1": 1}, {"s3": 0, "s1": 3}, {"s4": 0}]
"""Where its routes enter each stage."""


def text(blocks: list[int], rest: int = 0) -> tuple[int, ...]:
    return tuple(n for word in blocks for n in (word, *range(2, BLOCK_TOKENS + 1))) + (9,) * rest


@given(st.lists(st.tuples(ROUTES, WORDS, st.booleans()), max_size=12), ROUTES, WORDS)
def test_a_prompt_begins_with_the_longest_prefix_that_every_stage_has(
    asked: list[tuple[int, list[int], bool]], route: int, blocks: list[int]
) -> None:
    """Against a search through all that is held; some of it is gone again."""
    prefixes = Prefixes(crossing())
    held: dict[int, tuple[int, list[int]]] = {}
    for number, (other, words, goes) in enumerate(asked):
        prefixes.add(number, other, text(words, rest=3))
        held[number] = other, words
        if goes:
            prefixes.remove(number)
            del held[number]
    prompt = text(blocks, rest=1)

    def has(number: int, stage: str, num_blocks: int) -> bool:
        other, words = held[number]
        reaches = stage in ENTERS[other] and ENTERS[other][stage] <= ENTERS[route][stage]
        return reaches and words[:num_blocks] == blocks[:num_blocks]

    longest = max(
        n
        for n in range(len(blocks) + 1)
        if n == 0 or all(any(has(number, s, n) for number in held) for s in ENTERS[route])
    )
    found = prefixes.find(route, prompt)
    assert found.tokens == longest * BLOCK_TOKENS
    if longest:
        sources = zip(ENTERS[route], found.sources, strict=True)
        assert all(has(number, stage, longest) for stage, number in sources)


def test_a_whole_prompt_leaves_a_token_to_run() -> None:
    prefixes = Prefixes(crossing())
    prefixes.add(1, 3, text([0, 1]))
    assert prefixes.find(3, text([0, 1])) == Prefix(BLOCK_TOKENS, (1,))
    assert prefixes.find(3, text([0, 1], rest=1)) == Prefix(2 * BLOCK_TOKENS, (1,))
    prefixes.remove(1)
    assert prefixes.find(3, text([0, 1])) == NOTHING


@pytest.fixture
def shelf() -> Shelf:
    """Give the shelf of one stage of 160 tokens, of which 10 are kept spare."""
    plan = make_plan(bare_model(layers=4), [((0, 4), (1,))], kv_tokens=160)
    return Shelf(plan, KvSpace([160]), [(KvHold(0, layers=1),)])


def keep(shelf: Shelf, request: int, blocks: list[int]) -> None:
    shelf.prefixes.add(request, 0, text(blocks))
    shelf.keep(Kept(request, 0, len(text(blocks))))


def gone(shelf: Shelf) -> list[int]:
    return [kept.request for kept in shelf.let_go()]


def test_the_longest_unused_goes_first_and_only_as_much_as_needed(shelf: Shelf) -> None:
    for request in range(3):
        keep(shelf, request, [request, request, 0])
    assert gone(shelf) == []  # 144 of 150 tokens
    shelf.copied(shelf.begin(0, text([0, 0, 0, 1])))
    assert shelf.hits == [48]
    keep(shelf, 3, [7])
    assert shelf.used == [160]
    assert gone(shelf) == [1]
    assert gone(shelf) == []  # it is on its way
    assert shelf.prefixes.find(0, text([1, 1, 0, 1])) == NOTHING
    shelf.land(1)
    assert shelf.used == [112]


def test_what_somebody_is_about_to_copy_stays(shelf: Shelf) -> None:
    keep(shelf, 1, [1] * 5)
    keep(shelf, 2, [2] * 4)
    readers = [shelf.begin(0, text([1] * 6)) for _ in range(2)]
    assert readers[0] == Prefix(80, (1,))
    shelf.touch(0, text([2] * 6))
    keep(shelf, 3, [3])
    assert gone(shelf) == [2]
    shelf.land(2)
    keep(shelf, 4, [0] * 4)
    assert gone(shelf) == [3]
    shelf.land(3)
    keep(shelf, 5, [4])
    for reader in readers:
        assert shelf.is_read(1)
        shelf.copied(reader)
    assert not shelf.is_read(1)
    assert gone(shelf) == [1]


def test_a_route_owes_what_the_shelf_has_not_given_back() -> None:
    space, holds = KvSpace([160]), [(KvHold(0, layers=1),)]
    plan = make_plan(bare_model(layers=4), [((0, 4), (1,))], kv_tokens=160)
    shelf = Shelf(plan, space, holds)
    keep(shelf, 1, [1] * 5)
    space.reserve(holds[0], 100)
    assert shelf.owes(0)
    assert gone(shelf) == [1]
    assert shelf.owes(0)
    shelf.land(1)
    assert not shelf.owes(0)
