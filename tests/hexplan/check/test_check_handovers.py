"""Plans whose stages serve one phase each: what is wrong with them is found, and named."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.plans import profiled_plan
from support.split_plans import SPLIT, at_rate

from hexplan.check import check_plan
from hexplan.check.flow.handovers import moved_kv
from hexplan.field_types import Range
from hexplan.plan import Hop, Plan
from hexplan_solver.simulate.pipeline_model import hops_of, kv_moves


def test_a_split_plan_that_says_how_requests_go_keeps_every_rule() -> None:
    assert [str(violation) for violation in check_plan(SPLIT)] == []


@pytest.mark.parametrize(
    ("rate", "places"),
    [
        # KV of 2 layers takes 2 x 2 x 4 x 8 x 2 x 60 = 15,360 bytes; b to d, of 3,200 bytes/s,
        # carries 19 decodes of 128 bytes a request.
        ("1.3", []),
        ("1.4", ["pair:b>d"]),
    ],
)
def test_links_carry_no_more_than_they_can_at_the_promised_rate(
    rate: str, places: list[str]
) -> None:
    found = [violation for violation in check_plan(at_rate(rate)) if violation.rule == "HEX612"]
    assert [violation.where for violation in found] == places


def test_plans_without_phases_are_written_as_before() -> None:
    tree = json.loads(profiled_plan().model_dump_json(by_alias=True))
    assert "handovers" not in tree
    assert not any("phase" in stage for stage in tree["stages"])
    assert "phases" not in tree["cluster"]["limits"]


def test_split_plans_are_read_as_they_were_written() -> None:
    assert Plan.model_validate_json(SPLIT.model_dump_json(by_alias=True), by_name=False) == SPLIT


NUM_LAYERS = 12


@st.composite
def chains(draw: st.DrawFn) -> list[Range]:
    """Return ranges of layers through which a request can go, some entered in the middle."""
    ranges, reached = [], 0
    while reached < NUM_LAYERS:
        end = draw(st.integers(reached + 1, NUM_LAYERS))
        ranges.append((draw(st.integers(0, reached)), end))
        reached = end
    return ranges


@given(chains(), chains(), st.booleans())
def test_the_kv_of_every_layer_moves_once_or_stays(
    prefill: list[Range], decode: list[Range], shares_first: bool
) -> None:
    layers = [*prefill, *decode]
    first, then = list(range(len(prefill))), list(range(len(prefill), len(layers)))
    if shares_first and prefill[0] == decode[0]:
        then[0] = first[0]
    moves = list(kv_moves(layers, first, then))
    hops = [
        tuple(
            Hop(stage=f"s{stage}", enter_layer=enter) for stage, (enter, _) in hops_of(layers, one)
        )
        for one in (first, then)
    ]
    ranges = {f"s{index}": held for index, held in enumerate(layers)}
    judged = list(moved_kv(ranges, *hops))
    assert judged == [(f"s{move.source}", f"s{move.target}", move.layers) for move in moves]
    moved = [layer for _, _, held in judged for layer in range(*held)]
    stays = range(*layers[0]) if then[0] == first[0] else range(0)
    assert sorted([*moved, *stays]) == list(range(NUM_LAYERS))
