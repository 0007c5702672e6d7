"""Whether shifting pays: stages that shift are planned anew without, as their memory differs."""

from __future__ import annotations

from dataclasses import replace

from hexplan.plan import Plan
from hexplan.spec import Spec
from hexplan.techniques import Chosen
from hexplan_solver.techniques.candidates import stating
from hexplan_solver.techniques.choose import chosen_of
from hexplan_solver.techniques.judge import judge


def never_shifting(spec: Spec) -> Spec:
    """Return the spec with no stage that shifts."""
    limits = spec.cluster.limits
    parallel = tuple(way for way in limits.parallel if way != "shift") or ("tp",)
    limits = limits.model_copy(update={"parallel": parallel})
    return replace(spec, cluster=spec.cluster.model_copy(update={"limits": limits}))


def without_shift(plan: Plan) -> Plan:
    """Return a plan in which no stage came to shift, and which says so."""
    return stating(plan, Chosen(technique="shift", value="off", tried="on"))


def better_shift(plain: Plan, with_shift: Plan) -> Plan:
    """Return the plan whose stages shift if it is better by more than the noise, or else the other.

    What it says of its limits is then what it was made for: stages that never shift.
    """
    verdict = judge(plain, with_shift)
    better = with_shift if verdict.is_gain else plain
    return stating(better, chosen_of("shift", "on", "off", verdict))
