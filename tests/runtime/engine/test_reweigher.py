"""The reweigher of an engine whose two routes are imagined: so many rows pass each in a tick."""

from __future__ import annotations

import pytest
import torch
from support.runtime_plans import make_plan

from hexplan.model import Model
from hexplan_runtime.batch import Batch, Row, passed, sampled
from hexplan_runtime.engine.engine import Engine
from hexplan_runtime.engine.turn import Turn
from hexplan_runtime.engine.weighing.reweigher import Reweigher
from hexplan_runtime.request import Request

TICK_S = 0.05
TOKEN = 7
WHOLE = 10**9
CLIENTS = 30


class Routes:
    """Two routes of one stage each, and clients who ask again as soon as they have their tokens."""

    def __init__(self, model: Model) -> None:
        whole = [((0, 4), (1,)), ((0, 4), (1,))]
        plan = make_plan(model, whole, [([0], 50), ([1], 50)], kv_tokens=4096)
        self.engine = Engine(plan)
        self.engine.reuses_prefixes = False
        self.reweigher = Reweigher(self.engine)
        self.reweigher.is_on = True
        self._rows: list[list[Row]] = [[], []]
        self._tickets = 0
        self._now_s = 0.0

    @property
    def weights(self) -> tuple[float, ...]:
        return tuple(weight / WHOLE for weight in self.engine.replays.router.weights)

    def run(self, seconds: float, rows_per_tick: tuple[int, int]) -> tuple[int, list[int]]:
        """Return the tokens that came out, and the requests that each route got."""
        tokens, before = 0, list(self.engine.counts.requests)
        for _ in range(round(seconds / TICK_S)):
            self._now_s += TICK_S
            open_now = self.engine.running + self.engine.waiting
            for _ in range(CLIENTS - open_now):
                self.engine.enqueue(self._tickets, Request((1, 2, 3, 4), 12))
                self._tickets += 1
            self._take(self.engine.admit())
            for route, most in enumerate(rows_per_tick):
                tokens += self._pass(route, most)
            self.reweigher.look(self._now_s)
        counts = zip(self.engine.counts.requests, before, strict=True)
        return tokens, [now - then for now, then in counts]

    def _take(self, turn: Turn) -> None:
        for entry in [row for batch in turn.batches() for row in batch] + turn.prompts:
            if entry.row.tokens or entry.row.closes:
                self._rows[entry.row.route].append(entry.row)

    def _pass(self, route: int, most: int) -> int:
        rows, self._rows[route] = self._rows[route][:most], self._rows[route][most:]
        drawn = [sampled(row) for row in rows if row.samples]
        said = [passed(row) for row in rows if row.tokens and not row.samples]
        closing = [row for row in rows if row.closes]
        ids = torch.full((len(drawn),), TOKEN) if drawn else None
        self._take(self.engine.receive(Batch((*drawn, *said, *closing), ids)))
        for row in drawn:
            is_over = row.end_rule.reason(TOKEN, row.position + 1) is not None
            again = Row(row.request, route, row.position, 1, 0, row.sampling, samples=True)
            over = Row(row.request, route, 0, 0, 0, row.sampling, closes=True)
            self._rows[route].append(over if is_over else _like(again, row))
        return len(drawn)


def _like(again: Row, row: Row) -> Row:
    """Return a row of a request with the end of another row of it."""
    return Row(
        again.request,
        again.route,
        again.position,
        1,
        row.context_tokens,
        row.sampling,
        samples=True,
        decodes=True,
        end_rule=row.end_rule,
    )


@pytest.fixture
def routes(llama_model: Model) -> Routes:
    return Routes(llama_model)


def test_a_route_that_becomes_slow_gets_half_its_share_and_more_tokens_come(
    routes: Routes, llama_model: Model
) -> None:
    usual, requests = routes.run(20, (4, 4))
    assert routes.weights == (0.5, 0.5)
    assert abs(requests[0] - requests[1]) <= 1
    routes.run(30, (4, 1))
    assert routes.weights == pytest.approx((0.75, 0.25), abs=0.01)
    rate, requests = routes.run(40, (4, 1))
    assert requests[1] / sum(requests) == pytest.approx(0.25, abs=0.01)
    routes.run(80, (4, 4))
    assert routes.weights == (0.5, 0.5)
    other = Routes(llama_model)
    other.reweigher.is_on = False
    other.run(50, (4, 1))
    plain, _ = other.run(40, (4, 1))
    assert other.weights == (0.5, 0.5)
    assert rate > 1.3 * plain
    assert usual > 0


def test_routes_that_become_slow_together_keep_their_shares(routes: Routes) -> None:
    routes.run(20, (4, 4))
    routes.run(30, (1, 1))
    assert routes.weights == (0.5, 0.5)
    _, requests = routes.run(20, (2, 2))
    assert routes.weights == (0.5, 0.5)
    assert abs(requests[0] - requests[1]) <= 1
