"""The desk: where the owner of a launch hands in another plan, and asks how far it is."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError

from hexplan.check import check_plan
from hexplan.errors import InputError
from hexplan.plan import Plan
from hexplan_runtime.applying.applier import Applier
from hexplan_runtime.applying.telling import applying_of, changes_of
from hexplan_runtime.control.messages import Answer, Ask
from hexplan_runtime.launch.startup import RankStats


class ApplyDesk:
    """Answers what is asked about other plans.

    Parameters
    ----------
    stats
        What the ranks of the launch read when it started.
    start_s
        How long that took.
    """

    def __init__(self, applier: Applier, stats: Sequence[RankStats], start_s: float) -> None:
        self._applier, self._stats, self._start_s = applier, stats, start_s

    def answer(self, ask: Ask) -> Answer:
        """Begin to apply a plan, or say what it would do, or how far that is.

        Raises
        ------
        InputError
            The plan cannot be applied.
        """
        if ask.ask == "applying":
            return Answer(applying=applying_of(self._applier.progress))
        plan = _plan_in(ask.plan or "")
        _require_sound(plan)
        growth = self._applier.look(plan)
        changes = changes_of(growth, self._stats, self._start_s)
        if not ask.is_dry and growth.is_new:
            self._applier.begin(plan, ask.drain_s)
        return Answer(changes=changes)


def _require_sound(plan: Plan) -> None:
    """Refuse a plan that breaks a rule.

    Raises
    ------
    InputError
        It breaks one.
    """
    if violations := check_plan(plan):
        message = f"the plan breaks a rule\n{violations[0]}"
        raise InputError(message, hint="`hexplan check PLAN` lists every rule that it breaks")


def _plan_in(text: str) -> Plan:
    try:
        return Plan.model_validate_json(text, by_alias=True, by_name=False)
    except ValidationError as error:
        message = "found no plan that this version reads"
        raise InputError(message, hint="`hexplan check PLAN` says what is wrong with it") from error
