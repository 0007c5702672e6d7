"""Rounds: what of a route's tokens goes round by itself, and what of it must wait."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from support.runtime_plans import bare_model, make_plan, without_way_back

from hexplan.plan import Plan
from hexplan.step_limits import StepLimits
from hexplan_runtime.batch import Batch, Row
from hexplan_runtime.request import GREEDY, EndRule
from hexplan_runtime.stage.edges import Ends
from hexplan_runtime.stage.rounds import Rounds
from hexplan_runtime.stage.topology import back_edges
from hexplan_runtime.stage.way_back import WayBack

TWO = [((0, 2), (1,)), ((2, 4), (1,))]
PROMPT = Row(7, 0, 0, 4, 6, GREEDY, samples=True, end_rule=EndRule(9, stop_ids=(3,)))


@pytest.fixture
def plan() -> Plan:
    return make_plan(bare_model(layers=4), TWO, step_limits=StepLimits(tokens=16, decodes=8))


@pytest.fixture
def rounds(plan: Plan) -> Rounds:
    """Give the first stage's rounds after a prompt of 4 tokens with room for 6."""
    rounds = Rounds(plan, "s0")
    prompt = Batch((PROMPT,), torch.zeros(4, dtype=torch.int64))
    assert rounds.enter(prompt) is prompt
    return rounds


def token(position: int, request: int = 7) -> Batch:
    row = Row(request, 0, position, 1, 6, GREEDY, decodes=True)
    return Batch((row,), torch.tensor([5]))


def room(tokens: int) -> Batch:
    return Batch((Row(7, 0, 0, 0, tokens, GREEDY),))


def positions(batches: list[Batch]) -> list[tuple[int, int]]:
    assert all(row.samples and row.decodes for batch in batches for row in batch.rows)
    return [(batch.rows[0].position, batch.rows[0].context_tokens) for batch in batches]


def test_tokens_go_round_as_far_as_there_is_room_and_on_once_there_is_more(rounds: Rounds) -> None:
    for position in (4, 5):
        assert rounds.come_back(token(position)) is None
        assert positions(rounds.take()) == [(position, 6)]
    assert rounds.come_back(token(6)) is None
    assert rounds.take() == []
    for more in (6, 9, 12):
        assert rounds.enter(room(more)) is None
    assert positions(rounds.take()) == [(6, 12)]
    assert rounds.take() == []


def test_room_that_is_told_ahead_makes_no_token_go_twice(rounds: Rounds) -> None:
    rounds.come_back(token(4))
    rounds.enter(room(20))
    assert positions(rounds.take()) == [(4, 20)]
    rounds.enter(room(30))
    assert rounds.take() == []
    rounds.come_back(token(5))
    assert positions(rounds.take()) == [(5, 30)]


def test_two_micro_batches_that_are_ready_at_once_go_into_two_steps(plan: Plan) -> None:
    """Two equal stages take two micro-batches; a request that is over goes in none."""
    rounds = Rounds(plan, "s0")
    for request in range(6):
        prompt = replace(PROMPT, request=request)
        rounds.enter(Batch((prompt,), torch.zeros(4, dtype=torch.int64)))
        rounds.come_back(token(4, request))
    assert [batch.rows[0].request for batch in rounds.take()] == [0, 1, 2]
    for request in (3, 5):
        end = replace(PROMPT, request=request, tokens=0, samples=False, closes=True)
        rounds.enter(Batch((end,)))
    assert [batch.rows[0].request for batch in rounds.take()] == [4]
    assert rounds.take() == []


@pytest.mark.parametrize("ends_by_itself", [True, False])
def test_what_comes_of_a_request_that_is_over_is_dropped(
    rounds: Rounds, ends_by_itself: bool
) -> None:
    rounds.come_back(token(4))
    end = Batch((replace(PROMPT, tokens=0, samples=False, closes=True),))
    assert (rounds.come_back(end) if ends_by_itself else rounds.enter(end)) is end
    assert rounds.take() == []
    assert rounds.come_back(token(5)) is None
    assert rounds.enter(room(20)) is None
    assert rounds.come_back(end) is None
    assert rounds.take() == []


def test_the_routers_word_that_a_request_is_over_passes_even_if_it_never_began(plan: Plan) -> None:
    """The router waits for it to come through all stages."""
    end = Batch((replace(PROMPT, tokens=0, samples=False, closes=True),))
    assert Rounds(plan, "s0").enter(end) is end


def test_only_where_routes_begin_do_tokens_come_back(plan: Plan) -> None:
    assert back_edges(plan) == (("s1", "s0"),)
    apart = without_way_back(plan)
    assert back_edges(apart) == ()
    prompt = Batch((PROMPT,), torch.zeros(4, dtype=torch.int64))
    for stage in ("s0", "s1"):
        rounds = Rounds(apart, stage)
        assert rounds.enter(prompt) is prompt
        decode = token(4)
        assert rounds.enter(decode) is decode


class Kept:
    def __init__(self) -> None:
        self.sent: list[Batch] = []

    def send(self, batch: Batch) -> None:
        self.sent.append(batch)


def test_a_last_stage_says_which_token_is_next_and_ends_requests_by_their_own_rule(
    plan: Plan,
) -> None:
    """By length at 9 tokens, and by the stop id 3; the router's word comes back only if needed."""
    edge = Kept()
    back = WayBack(plan, "s1", Ends({}, {}, back_senders={"s0": edge}), lambda _: None)
    rows = [replace(PROMPT, request=n) for n in range(4)]
    rows[2] = replace(rows[2], position=3)
    rows[3] = replace(rows[3], samples=False)
    back.send(rows, [5, 3, 6])
    (batch,) = edge.sent
    assert [(row.request, row.tokens, row.closes) for row in batch.rows] == [
        (0, 1, False),
        (1, 0, True),
        (2, 1, False),
    ]
    assert batch.token_ids is not None
    assert batch.token_ids.tolist() == [5, 6]
    last = replace(rows[2], position=7, tokens=1, decodes=True)
    ends = [replace(rows[n], tokens=0, samples=False, closes=True) for n in range(4)]
    back.send([last, *ends], [8])
    assert [(row.request, row.tokens, row.closes) for row in edge.sent[1].rows] == [
        (2, 0, True),
        (0, 0, True),
    ]


def order(*, parks: bool = False, stows: bool = False, fetches: bool = False) -> Batch:
    """What the router says of the request, with room for 9 tokens."""
    return Batch((Row(7, 0, 0, 0, 9, GREEDY, parks=parks, stows=stows, fetches=fetches),))


def test_a_parked_request_waits_until_the_router_lets_it_go_on(rounds: Rounds) -> None:
    assert rounds.come_back(token(4)) is None
    assert rounds.enter(order(parks=True)) is None
    assert rounds.take() == []
    assert rounds.enter(order()) is None
    assert positions(rounds.take()) == [(4, 9)]


def test_one_that_is_under_way_is_parked_when_its_token_is_back(rounds: Rounds) -> None:
    rounds.come_back(token(4))
    assert positions(rounds.take()) == [(4, 6)]
    rounds.enter(order(parks=True))
    assert rounds.come_back(token(5)) is None
    assert rounds.take() == []
    rounds.enter(order())
    assert positions(rounds.take()) == [(5, 9)]


def test_kv_moves_out_once_the_token_is_back_and_comes_back_with_the_next_decode(
    rounds: Rounds,
) -> None:
    rounds.come_back(token(4))
    rounds.take()
    assert rounds.enter(order(stows=True)) is None
    moved = rounds.come_back(token(5))
    assert moved is not None
    assert [(row.stows, row.position, row.tokens) for row in moved.rows] == [(True, 5, 0)]
    assert rounds.take() == []
    rounds.enter(order(fetches=True))
    (decode,) = rounds.take()
    assert (decode.rows[0].fetches, decode.rows[0].position) == (True, 5)
    rounds.come_back(token(6))
    (decode,) = rounds.take()
    assert not decode.rows[0].fetches


def test_what_waits_at_its_first_stage_moves_out_at_once(rounds: Rounds) -> None:
    rounds.come_back(token(4))
    moved = rounds.enter(order(stows=True))
    assert moved is not None
    assert moved.rows[0].position == 4


def test_a_request_that_ends_while_it_was_to_move_out_does_not(rounds: Rounds) -> None:
    rounds.come_back(token(4))
    rounds.take()
    rounds.enter(order(stows=True))
    end = Batch((replace(PROMPT, position=0, tokens=0, samples=False, closes=True),))
    assert rounds.come_back(end) is end
    assert rounds.enter(order(fetches=True)) is None
    assert rounds.take() == []
