"""Which techniques a finished plan uses: those asked for, and those that pay in the simulator."""

from __future__ import annotations

from decimal import Decimal

from hexplan.plan import Plan
from hexplan.techniques import Chosen
from hexplan_solver.repeat import repeat
from hexplan_solver.techniques.candidates import CANDIDATES, Name, stating
from hexplan_solver.techniques.judge import Verdict, judge

_DIGITS = 4


def with_techniques(plan: Plan) -> Plan:
    """Return the plan with the techniques of its cluster.

    What is `on` is on wherever it can be. What is `auto` is tried one after another, and stays only
    if requests end sooner by more than the noise. Figures that rest on simulations are computed
    again if the stages run otherwise than they were planned.
    """
    planned = plan.stages
    for name, candidate in CANDIDATES.items():
        asked = str(getattr(plan.cluster.techniques, name))
        if asked == "on":
            plan = candidate(plan)
        elif asked == "auto":
            plan = _judged(name, plan, candidate(plan))
    return plan if plan.stages == planned else plan.model_copy(update={"predicted": repeat(plan)})


def chosen_of(name: str, tried: str, without: str, verdict: Verdict) -> Chosen:
    """Return what a verdict says of a technique, with figures as the plan states them."""
    return Chosen(
        technique=name,
        value=tried if verdict.is_gain else without,
        tried=tried,
        gain=round(Decimal(verdict.gain), _DIGITS),
        noise=round(Decimal(verdict.noise), _DIGITS),
    )


def _judged(name: Name, without: Plan, with_it: Plan) -> Plan:
    tried, old = ("mlfq", "fcfs") if name == "queue" else ("on", "off")
    if with_it == without:
        impossible = Chosen(technique=name, value=old, tried=tried)
        return stating(without, impossible)
    verdict = judge(without, with_it)
    better = with_it if verdict.is_gain else without
    return stating(better, chosen_of(name, tried, old, verdict))
