"""Plans whose stages serve one phase each: what is wrong with them is found, and named."""

from __future__ import annotations

import json
import random
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from support.plans import profiled_plan
from support.split_plans import SPLIT, at_rate

from hexplan.check import check_plan
from hexplan.check.flow.handovers import moved_kv
from hexplan.field_types import Range
from hexplan.plan import Hop, Plan
from hexplan_solver.simulate.pipeline_model import hops_of, kv_moves

Tree = dict[str, Any]
NUM_MUTANTS = 150
DROPPED = 0.1
"""How often an entry of a list is dropped on the way to a value."""


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


def test_no_mutant_of_phases_or_handovers_is_accepted() -> None:
    tree, rng = json.loads(SPLIT.model_dump_json(by_alias=True)), random.Random(20261130)
    apart = {key: tree[key] for key in ("handovers",)}
    apart["stages"] = [{"phase": stage["phase"]} for stage in tree["stages"]]
    accepted, tried = [], 0
    while tried < NUM_MUTANTS:
        mutant = _changed(tree, apart, rng)
        if mutant is not None:
            tried += 1
            if check_plan(mutant) == ():
                accepted.append(mutant.handovers)
    assert accepted == []


def _changed(tree: Tree, apart: Tree, rng: random.Random) -> Plan | None:
    """Return the plan with one change in what it says of phases; None if that does not parse."""
    part = rng.choice(sorted(apart))
    values = json.loads(json.dumps(apart[part]))
    place = values
    while isinstance(place, list | dict):
        holder, key = (
            place,
            rng.choice(range(len(place)) if isinstance(place, list) else sorted(place)),
        )
        place = holder[key]
        if rng.random() < DROPPED and isinstance(holder, list):
            del holder[key]
            break
    else:
        holder[key] = _other(place, rng)
    changed = json.loads(json.dumps(tree))
    if part == "stages":
        for stage, update in zip(changed["stages"], values, strict=False):
            stage.update(update)
    else:
        changed[part] = values
    if changed == tree:
        return None
    try:
        return Plan.model_validate_json(json.dumps(changed), by_alias=True, by_name=False)
    except ValidationError:
        return None


def _other(value: object, rng: random.Random) -> object:
    """Return another value of the same type."""
    if isinstance(value, int):
        return value + rng.choice([-1, 1, 7])
    text = str(value)
    if text.replace(".", "").isdigit():
        return str(Decimal(text) * rng.choice([Decimal("0.5"), Decimal("0.99"), Decimal(2)]))
    names = ["s0", "s1", "s2", "s3"] if text.startswith("s") else ["prefill", "decode", "both"]
    return rng.choice([name for name in names if name != text])


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
