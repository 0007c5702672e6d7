"""The `check` command."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from hexplan.cli.inputs import PlanFile, source
from hexplan.cli.output import emit
from hexplan.errors import CheckFailed, InputError

if TYPE_CHECKING:
    from hexplan.plan import Plan
    from hexplan.predicted import Predicted

MOST_REQUESTS = 10_000_000
"""The most requests of the repeated runs: a core simulates hundreds to thousands a second."""


class Format(StrEnum):
    """The forms of `check`'s verdict."""

    TEXT = "text"
    JSON = "json"


def check(
    plan_file: PlanFile,
    simulate: Annotated[
        bool,
        typer.Option(
            "--simulate", help="Also repeat the simulations that the plan states figures of."
        ),
    ] = False,
    output_format: Annotated[Format, typer.Option("--format", help="The form of the verdict.")] = (
        Format.TEXT
    ),
) -> None:
    """Check a plan against every rule.

    Exits with 4 if a rule is broken. The check needs the plan alone, computes in exact arithmetic,
    and shares no code with the planner.

    Proved again: that the flow is what the routes carry, that nothing is overloaded, and that no
    flow on this placement is larger.

    Computed again: memory, KV room, speeds, what they rest on and how far they may be off, step
    limits, weights, the band of the flow, costs, and the sizes of a model of the catalog.

    Held against what is possible: served rates, TTFT and TPOT. --simulate runs the plan's
    simulations again, by the policy, step limits, seeds and times that it states, and refuses
    figures that do not come out the same.

    Trusted: the cluster, model and workload themselves, a bound that says so, the reasons of unused
    devices, and how the plan was made. docs/check.md has the list.
    """
    from hexplan.check import REPEATED_RULES, RULES, check_plan
    from hexplan.plan_file import read_plan
    from hexplan.render import verdict_json, verdict_text, words

    plan = read_plan(source(plan_file))
    violations = check_plan(plan)
    # Figures of a plan that breaks other rules mean nothing, and may take for ever to simulate.
    is_repeated = simulate and not violations
    if is_repeated:
        violations = check_plan(plan, _repeated(plan))
    num_rules = len(RULES) + (len(REPEATED_RULES) if is_repeated else 0)
    verdict = verdict_json if output_format is Format.JSON else verdict_text
    emit(verdict(violations, num_rules))
    if violations:
        places = words.count(len(violations), "place")
        message = f"{plan_file} breaks rules in {places}"
        raise CheckFailed(message, hint="undo what was changed in the plan, or solve again")


def _repeated(plan: Plan) -> Predicted:
    """Return the plan's prediction with its simulated figures computed again."""
    try:
        from hexplan_solver.repeat import repeat
    except ModuleNotFoundError as error:
        message = f"`{error.name}` is not installed, and --simulate needs it"
        raise InputError(message, hint='pip install "hexplan"') from error
    sustained, run = plan.predicted.sustained, plan.predicted.run
    simulated = sustained.simulated if sustained else None
    requests = sum(stated.requests for stated in (simulated, run) if stated is not None)
    if requests > MOST_REQUESTS:
        message = f"--simulate: the plan's runs have {requests} requests, needed at most 1e7"
        raise InputError(message, hint="check it without --simulate")
    return repeat(plan)
