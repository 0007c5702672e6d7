"""Plans that change while requests run, as the engine alone sees it."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.applied import plan_on
from support.runtime_plans import bare_model

from hexplan.plan import Plan
from hexplan_runtime.applying.growth import Growth, growth_of
from hexplan_runtime.applying.view import View
from hexplan_runtime.batch import Batch, sampled
from hexplan_runtime.engine.engine import Engine
from hexplan_runtime.engine.flight import EntryRow
from hexplan_runtime.engine.turn import Turn
from hexplan_runtime.request import Request

PROMPT = (1, 2, 5)
MODEL = bare_model(4)
PLANS = (
    plan_on(MODEL, [((0, 2), 0), ((2, 4), 1)], [((0, 1), 100)]),
    plan_on(MODEL, [((0, 2), 0), ((2, 4), 2)], [((0, 1), 100)]),
    plan_on(MODEL, [((0, 4), 3), ((0, 2), 0), ((2, 4), 1)], [((0,), 30), ((1, 2), 70)]),
    plan_on(MODEL, [((0, 4), 3)], [((0,), 100)]),
)


def prompts(turn: Turn) -> list[EntryRow]:
    """Return the prompts that a turn sends."""
    return [row for row in turn.prompts if row.row.tokens]


class Play:
    """An engine to which plans are applied, whose last stages draw tokens when told to."""

    def __init__(self, plan: Plan) -> None:
        self.engine = Engine(plan)
        self.view = View.first(plan)
        self.got: list[list[int]] = []
        self.flying: dict[int, EntryRow] = {}
        self.number = 0

    def act(self, what: str, value: int) -> None:
        getattr(self, what)(value)
        self.note(self.engine.admit())

    def enter(self, _: int) -> None:
        self.engine.enqueue(len(self.got), Request(PROMPT, 6))
        self.got.append([])

    def draw(self, value: int) -> None:
        """Draw a token after some row, which may be of a request that has left its route."""
        if self.flying:
            row = self.flying.pop(sorted(self.flying)[value % len(self.flying)])
            token = (row.row.position + row.row.tokens) % 16
            batch = Batch((sampled(row.row),), torch.tensor([token]))
            self.note(self.engine.receive(batch))

    def apply(self, value: int) -> None:
        """Bring the engine over to a plan, while requests stay where they are until the end."""
        growth = growth_of(self.view, PLANS[value % len(PLANS)])
        self.grow(growth)
        self.engine.weigh(growth.after.whole)
        self.number = self.engine.lose(growth.retired, growth.removed).renewal.number
        self.engine.replays.close(growth.removed)
        self.view = growth.after

    def give_up(self, value: int) -> None:
        """Begin to apply a plan, and go back."""
        growth = growth_of(self.view, PLANS[value % len(PLANS)])
        self.grow(growth)
        self.number = self.engine.lose(growth.added, growth.opened).renewal.number
        self.engine.replays.close(growth.opened)
        self.engine.renewed(self.number)
        self.view = View(self.view.plan, growth.held_back, self.view.stages, self.view.routes)

    def grow(self, growth: Growth) -> None:
        """Let the engine know the stages and routes, of which those that start come up."""
        self.engine.grow(growth.after.whole)
        assert growth.opened <= self.engine.replays.masking.masked
        self.engine.renewed(self.number)
        for stage in growth.added:
            self.engine.replays.masking.come_back(stage)
        assert not self.engine.replays.to_probe() & growth.opened
        self.engine.replays.masking.open_again(growth.opened)
        for route in self.engine.replays.to_probe():
            self.engine.replays.prove(route)
        assert not growth.opened & self.engine.replays.masking.masked

    def note(self, turn: Turn) -> None:
        self.flying.update({row.row.request: row for row in prompts(turn)})
        for event in turn.events:
            self.got[event.request_index].append(event.token_id)


ACTS = st.tuples(st.sampled_from(["enter", "enter", "draw", "apply", "give_up"]), st.integers(0, 9))


@settings(max_examples=40)
@given(st.lists(ACTS, max_size=20))
def test_requests_get_their_tokens_once_whatever_plans_come_and_go(
    acts: list[tuple[str, int]],
) -> None:
    play = Play(PLANS[0])
    for what, value in acts:
        play.act(what, value)
    for tokens in play.got:
        assert tokens == [(len(PROMPT) + n) % 16 for n in range(len(tokens))]
    live = {*play.view.routes}
    on_routes = [flight.route for flight in play.engine.flights]
    assert live.issuperset(on_routes)
    assert len(on_routes) + play.engine.waiting >= sum(len(one) < 6 for one in play.got)
    play.engine.renewed(play.number)
    held = play.engine.kv()
    assert not any(stage.held_tokens for n, stage in enumerate(held) if n not in play.view.stages)


def test_new_requests_take_only_routes_of_the_plan_that_counts() -> None:
    play = Play(PLANS[0])
    play.act("apply", 3)
    for _ in range(4):
        play.act("enter", 0)
    assert {row.row.route for row in play.flying.values()} == set(play.view.routes)
    assert {row.stage for row in play.flying.values()} == {play.view.name(0)}


def test_requests_that_the_new_plan_has_no_room_for_are_named() -> None:
    play = Play(PLANS[0])
    play.engine.enqueue(0, Request(PROMPT, 100))
    play.engine.enqueue(1, Request(PROMPT, 6))
    play.note(play.engine.admit())
    (stage,) = PLANS[3].stages
    small = PLANS[3].model_copy(update={"stages": (stage.model_copy(update={"kv_tokens": 32}),)})
    growth = growth_of(play.view, small)
    play.grow(growth)
    play.engine.weigh(growth.after.whole)
    assert not play.engine.too_long()
    play.engine.lose(growth.retired, growth.removed)
    assert play.engine.too_long() == [0]
