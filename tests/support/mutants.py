"""Mutants: plans with one small change anywhere, as carelessness or a forger makes them."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from pydantic import ValidationError
from support.changes import change_plan

from hexplan.plan import Plan

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"
Steps: TypeAlias = tuple[str | int, ...]

FACTORS = (0.5, 0.9, 0.99, 1.01, 1.1, 2.0)
TRIES = 20
"""Changes that are tried until one changes something."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """A plan with one change, its hashes made to fit."""

    plan: Plan
    steps: Steps
    """Where it was changed."""
    what: str

    @property
    def place(self) -> str:
        """The field that was changed, without positions in lists: `stages.memory.kv_bytes`."""
        return ".".join(step for step in self.steps if isinstance(step, str))

    def __str__(self) -> str:
        return f"{'.'.join(map(str, self.steps))}: {self.what}"


def mutants(plans: list[Plan], seed: int, count: int) -> Iterator[Mutant]:
    """Yield so many mutants that parse, each of a plan drawn at random."""
    rng = random.Random(seed)
    trees = [json.loads(plan.model_dump_json(by_alias=True)) for plan in plans]
    made = 0
    while made < count:
        mutant = mutant_of(rng.choice(trees), rng)
        if mutant is not None:
            made += 1
            yield mutant


def mutant_of(tree: Json, rng: random.Random) -> Mutant | None:
    """Return a plan with one change; None if it does not parse, which refuses it too."""
    changed = json.loads(json.dumps(tree))
    for _ in range(TRIES):
        steps = _drawn(changed, rng)
        what = _change(changed, steps, rng)
        if what and changed != tree:
            break
    else:
        return None
    try:
        return Mutant(resealed(Plan.model_validate_json(json.dumps(changed))), steps, what)
    except (ValidationError, KeyError):
        return None


def resealed(plan: Plan) -> Plan:
    """Return the plan with hashes that fit, so that they alone give no change away."""
    return change_plan(plan, cluster_sha256=plan.cluster.sha256, model=plan.model)


def _drawn(tree: Json, rng: random.Random) -> Steps:
    """Draw a part: first a field of the plan, then a part of it, so that no long list wins."""
    steps: Steps = ()
    part = tree
    while isinstance(part, dict | list) and part:
        keys = list(part) if isinstance(part, dict) else range(len(part))
        if steps and isinstance(part, list) and rng.random() < 0.15:
            return steps
        step = rng.choice(list(keys))
        steps = (*steps, step)
        part = part[step]  # type: ignore[index]
    return steps


def _at(tree: Json, steps: Steps) -> Json:
    for step in steps:
        tree = tree[step]  # type: ignore[index]
    return tree


def _put(tree: Json, steps: Steps, value: Json) -> None:
    _at(tree, steps[:-1])[steps[-1]] = value  # type: ignore[index]


def _change(tree: Json, steps: Steps, rng: random.Random) -> str:
    """Change one part in place, and say how; an empty text if nothing can be changed there."""
    part = _at(tree, steps)
    if isinstance(part, bool):
        _put(tree, steps, not part)
        return f"{part} turned around"
    if isinstance(part, int | float):
        return _scaled(tree, steps, rng)
    if isinstance(part, str):
        return _renamed(tree, steps, rng)
    if isinstance(part, list) and part:
        return _rearranged(tree, steps, rng)
    return ""


def _scaled(tree: Json, steps: Steps, rng: random.Random) -> str:
    value = _at(tree, steps)
    assert isinstance(value, int | float)
    others = [v for v in _namesakes(tree, steps[-1]) if isinstance(v, int | float)]
    if rng.random() < 0.2 and others:
        new: int | float = rng.choice(others)
    elif isinstance(value, int):
        new = round(value * rng.choice(FACTORS)) or 1
        new = new if new != value else value + rng.choice((-1, 1))
    else:
        new = round(value * rng.choice(FACTORS), 9)
    _put(tree, steps, new)
    return f"{value} became {new}"


def _renamed(tree: Json, steps: Steps, rng: random.Random) -> str:
    value = _at(tree, steps)
    others = [v for v in _namesakes(tree, steps[-1]) if isinstance(v, str) and v != value]
    new = rng.choice(others) if others and rng.random() < 0.7 else f"{value}x"
    _put(tree, steps, new)
    return f"{value} became {new}"


def _rearranged(tree: Json, steps: Steps, rng: random.Random) -> str:
    part = _at(tree, steps)
    assert isinstance(part, list)
    pick, other = rng.randrange(len(part)), rng.randrange(len(part))
    how = rng.choice(("dropped", "doubled", "swapped"))
    if how == "dropped":
        del part[pick]
    elif how == "doubled":
        part.insert(pick, part[pick])
    else:
        part[pick], part[other] = part[other], part[pick]
    return f"entry {pick} {how}"


def _namesakes(tree: Json, key: str | int) -> list[Json]:
    """Return the values of all fields of one name."""
    found: list[Json] = []
    if isinstance(tree, dict):
        found = [tree[key]] if isinstance(key, str) and key in tree else []
        found += [value for part in tree.values() for value in _namesakes(part, key)]
    elif isinstance(tree, list):
        found = [value for part in tree for value in _namesakes(part, key)]
    return found
