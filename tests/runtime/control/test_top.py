"""What `top` shows of a launch: rates between two looks, beside what the plan predicts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.plans import profiled_plan
from support.shell import Shell

from hexplan.render.across.top_view import Rates, top_text
from hexplan_runtime.control.answering import Control, Orders, Seen
from hexplan_runtime.control.messages import Answer, Ask, Status
from hexplan_runtime.control.places import new_socket
from hexplan_runtime.control.server import ControlServer
from hexplan_runtime.engine.snapshot import EdgeTokens, EngineSnapshot, RouteTokens, StageKv

PLAN = profiled_plan()
URL = "http://127.0.0.1:8000"
KV_ROOM = 400
counts = st.integers(0, 10**9)
grown = st.lists(
    st.tuples(counts, counts),
    min_size=len(PLAN.edges) + len(PLAN.routes),
    max_size=len(PLAN.edges) + len(PLAN.routes),
)


def snapshot(tokens: list[int]) -> EngineSnapshot:
    """Return a snapshot with these tokens on each edge, and then on each route."""
    edges, routes = tokens[: len(PLAN.edges)], tokens[len(PLAN.edges) :]
    return EngineSnapshot(
        running=3,
        waiting=1,
        preemptions=0,
        kv=tuple(StageKv(stage.id, 100, KV_ROOM) for stage in PLAN.stages),
        ends=(),
        edges=tuple(
            EdgeTokens(edge.source, edge.target, n)
            for edge, n in zip(PLAN.edges, edges, strict=True)
        ),
        routes=tuple(RouteTokens(index, n, n // 7) for index, n in enumerate(routes)),
        weights=tuple(int(route.weight.scaleb(9)) for route in PLAN.routes),
    )


def control(tokens: list[list[int]]) -> Control:
    """Return what answers with these tokens, one after the other, and then the last ones."""

    def look() -> Seen:
        return Seen(False, (), snapshot(tokens.pop(0) if len(tokens) > 1 else tokens[0]), PLAN)

    return Control(look, list, Orders(lambda: None, lambda: None), URL)


def status(answer: Answer) -> Status:
    assert answer.status is not None
    return answer.status


@given(grown)
@settings(max_examples=20)
def test_rates_are_what_passed_over_the_time_between(tokens: list[tuple[int, int]]) -> None:
    before = [first for first, _ in tokens]
    after = [first + more for first, more in tokens]
    answering = control([before, after])
    looks = [status(answering.answer(Ask(ask="status"))) for _ in range(2)]
    late = looks[1].model_copy(update={"at_s": looks[0].at_s + 4.0})
    rates = Rates.between(looks[0], late)
    more = [extra for _, extra in tokens]
    for stage in rates.stages:
        arrived = sum(
            extra
            for edge, extra in zip(PLAN.edges, more, strict=False)
            if edge.target == stage.now.stage
        )
        assert stage.tokens_per_s == pytest.approx(arrived / 4.0)
    routes = more[len(PLAN.edges) :]
    assert [one.tokens_per_s for one in rates.routes] == pytest.approx([n / 4 for n in routes])
    shares = [one.share for one in rates.routes]
    assert None in shares or sum(filter(None, shares)) == pytest.approx(1)


def test_a_table_names_stages_routes_and_what_the_plan_predicts() -> None:
    tokens = [7] * (len(PLAN.edges) + len(PLAN.routes))
    now = status(control([tokens]).answer(Ask(ask="status")))
    text = top_text(Rates.between(now.model_copy(update={"at_s": now.at_s - 1}), now))
    assert text.startswith(f"ready, 3 requests run, 1 wait, at {URL}\n")
    for stage in PLAN.stages:
        line = next(line for line in text.splitlines() if line.startswith(f"{stage.id} "))
        assert "25 %" in line
        assert f"{float(stage.load_tokens_per_s):,.1f}" in line
    for route in PLAN.routes:
        assert " > ".join(hop.stage for hop in route.hops) in text


@pytest.fixture
def serving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """Return what a launch counts, which a test may change; it runs in a folder of its own."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return [[0] * (len(PLAN.edges) + len(PLAN.routes))]


def test_top_looks_twice_over_the_control_socket(
    serving: list[list[int]], capsys: pytest.CaptureFixture[str]
) -> None:
    serving.append([1000] * len(serving[0]))
    with ControlServer(new_socket(PLAN), control(serving).answer):
        ran = Shell(capsys)("top", "--once", "--interval", "100ms", "--json")
        assert ran.code == 0, ran.err
        found = json.loads(ran.out)
        assert all(stage["tokens_per_s"] > 0 for stage in found["stages"])
        plain = Shell(capsys)("top", "--once", "--interval", "100ms")
        assert plain.out.startswith("ready, 3 requests run")
        assert "\x1b" not in plain.out


def test_top_needs_a_launch_and_a_sensible_interval(
    serving: list[list[int]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert Shell(capsys)("top", "--once").code == 2
    ran = Shell(capsys)("top", "--interval", "1ms")
    assert ran.code == 2
    assert "--interval: found 1ms" in ran.err


def test_a_table_says_what_a_route_gets_now_where_that_is_not_what_is_planned() -> None:
    tokens = [7] * (len(PLAN.edges) + len(PLAN.routes))
    now = status(control([tokens]).answer(Ask(ask="status")))
    first = now.routes[0].model_copy(update={"weight_now": now.routes[0].weight / 4})
    slow = now.model_copy(update={"routes": (first, *now.routes[1:])})
    text = top_text(Rates.between(slow.model_copy(update={"at_s": now.at_s - 1}), slow))
    assert text.count(", not ") == 1
    line = next(line for line in text.splitlines() if ", not " in line)
    assert line.startswith(" > ".join(first.stages))
