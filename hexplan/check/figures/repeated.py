"""Figures that a simulation gave, compared with those of the same simulation run again."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel

from hexplan.check.rule import Rule, Violation
from hexplan.plan import Plan
from hexplan.predicted import Predicted

NOT_REPEATED = Rule(
    "HEX901",
    "not-repeated",
    "With `--simulate`: each simulated figure, and each served rate of served_rate.md, is what the"
    " simulator and the rehearsal give for the stated policy, step limits, seeds and times.",
)


def repeated_violations(plan: Plan, repeated: Predicted) -> Iterator[Violation]:
    """Yield figures that differ from the same figures computed again.

    Parameters
    ----------
    repeated
        The plan's prediction with every simulated or served figure computed again.
    """
    yield from _differences(plan.predicted, repeated, "prediction")


def _differences(stated: object, found: object, where: str) -> Iterator[Violation]:
    if isinstance(stated, BaseModel) and isinstance(found, BaseModel):
        for name in type(stated).model_fields:
            place = f"{where}, {name}"
            yield from _differences(getattr(stated, name), getattr(found, name), place)
    elif stated != found:
        yield NOT_REPEATED.at(where, f"states {stated}, but a repetition gives {found}")
