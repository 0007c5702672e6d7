"""Whatever parses as a plan gets a verdict, and a changed number is noticed."""

from __future__ import annotations

import json
from typing import TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from support.changes import change_plan
from support.plans import mixed_stage_plan, profiled_plan, two_hosts_plan, two_sites_plan

from hexplan.check import RULES, Violation, check_plan
from hexplan.plan import Plan

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"
Steps: TypeAlias = tuple[str | int, ...]

TEXTS = [
    plan.model_dump_json(by_alias=True)
    for plan in (two_hosts_plan(), profiled_plan(), two_sites_plan(), mixed_stage_plan())
]
UNUSED_BY_THE_FORMULAS = {
    ("model", "max_context"),
    ("cluster", "limits", "solve_time_s"),
    ("workload", "request_rate_per_s"),
    ("workload", "prompt_tokens", "max"),
    ("workload", "output_tokens", "max"),
}
"""Numbers that no rule recomputes; of the longest lengths, more may fit than is asked for."""

NAMES = ["", "s0", "s1", "s9", "entry", "exit", "big", "d", "coordinator", ">", "lab", "Slow"]
NAMES += ["stage:s0", "link:s0>s1", "link:entry>exit", "link:>", "trunk:lab>lab", "nic-in:big"]
NAMES += ["pair:big>small", "pair:big>big", "pair:>", "pair:coordinator>coordinator"]
WHOLE: st.SearchStrategy[Json] = (
    st.integers(-3, 10) | st.integers(-1000, 1000) | st.sampled_from([2**63, 10**23, 10**40])
)
DECIMALS: st.SearchStrategy[Json] = st.floats(0, 1e6) | st.sampled_from(
    [0.5, 1e300, 1e-9, "1E+999999999", "0E-99999"]
)

IDS = {rule.id for rule in RULES}


def paths(tree: Json, steps: Steps = ()) -> list[Steps]:
    """Return the ways to every part of a tree."""
    parts: list[tuple[str | int, Json]] = []
    if isinstance(tree, dict):
        parts = list(tree.items())
    elif isinstance(tree, list):
        parts = list(enumerate(tree))
    found = [path for key, part in parts for path in paths(part, (*steps, key))]
    return [steps, *found] if steps else found


def at(tree: Json, steps: Steps) -> Json:
    """Return one part of a tree."""
    for step in steps:
        assert isinstance(tree, dict | list)
        tree = tree[step]  # type: ignore[index]
    return tree


def replace(tree: Json, steps: Steps, value: Json) -> None:
    """Change one part of a tree in place."""
    parent = at(tree, steps[:-1])
    assert isinstance(parent, dict | list)
    parent[steps[-1]] = value  # type: ignore[index]


def is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


NUMBERS = [
    (index, steps)
    for index, text in enumerate(TEXTS)
    for steps in paths(json.loads(text))
    if is_number(at(json.loads(text), steps))
    and steps not in UNUSED_BY_THE_FORMULAS
    and steps[0] not in ("solve", "version")
]


def verdict(tree: Json) -> tuple[Violation, ...] | None:
    """Return the verdict on what parses as a plan."""
    try:
        read = Plan.model_validate_json(json.dumps(tree))
    except ValidationError:
        return None
    # As a forger does, so that the hash alone does not give a change of the inputs away.
    violations = check_plan(change_plan(read, model=read.model))
    assert all(found.rule in IDS and str(found) for found in violations)
    assert list(violations) == sorted(violations, key=lambda found: found.rule)
    return violations


@settings(max_examples=300)
@given(st.sampled_from(NUMBERS), st.integers(-1000, 1000).filter(bool))
def test_a_changed_number_is_noticed(number: tuple[int, Steps], thousandths: int) -> None:
    index, steps = number
    tree = json.loads(TEXTS[index])
    value = at(tree, steps)
    if isinstance(value, int):
        replace(tree, steps, value + thousandths)
    else:
        # At least a thousandth of the number or of 1: more than any tolerance.
        assert isinstance(value, float)
        replace(tree, steps, max(0.0, value + max(1.0, value) * thousandths / 1000))
    assert at(tree, steps) == value or verdict(tree) != ()


@pytest.mark.parametrize("index", range(len(TEXTS)))
def test_every_whole_number_counts_by_one(index: int) -> None:
    unnoticed = []
    for steps in [steps for other, steps in NUMBERS if other == index]:
        for change in (-1, 1):
            tree = json.loads(TEXTS[index])
            value = at(tree, steps)
            if isinstance(value, int):
                replace(tree, steps, value + change)
                if verdict(tree) == ():
                    unnoticed.append((steps, change))
    assert unnoticed == []


@st.composite
def vandalised(draw: st.DrawFn) -> Json:
    """Return a plan with a few parts replaced, dropped, doubled or turned around."""
    tree: Json = json.loads(draw(st.sampled_from(TEXTS)))
    for _ in range(draw(st.integers(1, 4))):
        steps = draw(st.sampled_from(paths(tree)))
        part = at(tree, steps)
        if isinstance(part, list) and part:
            pick = draw(st.integers(0, len(part) - 1))
            turned = [part[::-1], part[:pick], [*part, part[pick]], part[1:]]
            replace(tree, steps, draw(st.sampled_from(turned)))
        elif is_number(part):
            replace(tree, steps, draw(WHOLE if isinstance(part, int) else DECIMALS))
        elif isinstance(part, str):
            replace(tree, steps, draw(st.sampled_from(NAMES)))
    return tree


@settings(max_examples=800)
@given(vandalised())
def test_no_plan_makes_the_check_fail(tree: Json) -> None:
    verdict(tree)


@pytest.mark.parametrize("degree", [1025, 2**63, 10**23])
def test_a_profile_of_more_devices_than_a_host_may_have_is_no_plan(degree: int) -> None:
    tree = json.loads(profiled_plan().model_dump_json())
    tree["cluster"]["profiles"][0]["tp"] = degree
    with pytest.raises(ValidationError, match="1024"):
        Plan.model_validate_json(json.dumps(tree))
