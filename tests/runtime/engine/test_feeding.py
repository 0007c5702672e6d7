"""Feeding: pieces in order, and never too much under way."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from support.runtime_plans import bare_model, make_plan

from hexplan.schedule.micro_batches import Loop, Move, Visit
from hexplan.step_limits import StepLimits
from hexplan_runtime.engine.feeding import Piece, PromptFeed, steps_under_way
from hexplan_runtime.stage.loops import loops_of

LIMITS = StepLimits(tokens=24, decodes=8)
STEPS = 2
MOST = STEPS * LIMITS.tokens


@given(st.lists(st.integers(1, 90), min_size=1, max_size=12), st.data())
def test_all_prompts_go_in_order_and_in_pieces_that_fit(
    sizes: list[int], data: st.DataObject
) -> None:
    feed = PromptFeed(LIMITS, STEPS)
    for flight, size in enumerate(sizes):
        feed.add(flight, size)
    sent: list[Piece] = []
    under_way: list[Piece] = []
    while new := feed.take() or under_way:
        if new is not under_way:
            sent += new
            under_way += new
        assert sum(piece.end - piece.first for piece in under_way) <= MOST
        back = [under_way.pop(0) for _ in range(data.draw(st.integers(1, len(under_way))))]
        for piece in back:
            if piece.end == sizes[piece.flight]:
                feed.finish(piece.flight)
            else:
                feed.come_back(piece.flight, piece.end)
    expected = []
    for flight, size in enumerate(sizes):
        expected += [Piece(flight, a, min(a + 16, size)) for a in range(0, size, 16)]
    assert sent == expected


def test_a_prompt_that_is_dropped_lets_the_next_one_in() -> None:
    feed = PromptFeed(LIMITS, STEPS)
    feed.add(0, 1000)
    feed.add(1, 10)
    assert feed.take() == [Piece(0, 0, 16), Piece(0, 16, 32), Piece(0, 32, 48)]
    assert feed.take() == []
    feed.come_back(0, 8)  # a stage cut the first piece
    assert feed.take() == []
    feed.finish(0)
    assert feed.take() == [Piece(1, 0, 10)]
    feed.come_back(0, 16)  # what was under way when it was dropped
    feed.add(2, 100)
    assert [piece.end for piece in feed.take()] == [16, 32]


def test_a_route_keeps_a_step_for_each_stage_and_more_for_a_long_way() -> None:
    plan = make_plan(bare_model(layers=3), [((n, n + 1), (1,)) for n in range(3)])
    assert steps_under_way(loops_of(plan)[0]) == 4
    step = Visit(lambda _: 0.010)
    assert steps_under_way(Loop([step], [Move(0.0, 0.0)] * 2)) == 2
    assert steps_under_way(Loop([step, step], [Move(0.015, 0.0)] * 3)) == 3 + 5
    assert steps_under_way(Loop([step], [Move(9.0, 0.0)] * 2)) == 16
