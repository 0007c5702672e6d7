"""Read and write plan.json."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ValidationError

from hexplan.errors import SpecError
from hexplan.files.bounded import read_bounded, write_atomically
from hexplan.files.field_errors import FieldError, explain, one_error, version_problem
from hexplan.files.json_reader import MAX_BYTES, parse_json
from hexplan.plan import Plan
from hexplan.wording import found, path_text

if TYPE_CHECKING:
    from pathlib import Path

PLAN_VERSION = 1


def plan_json(plan: Plan) -> str:
    """Return the text of a plan.json: the same for equal plans, byte by byte."""
    return plan.model_dump_json(by_alias=True, indent=1) + "\n"


def write_plan(plan: Plan, path: Path) -> None:
    """Write a plan.json whole or not at all."""
    write_atomically(path, plan_json(plan))


def read_plan(path: Path) -> Plan:
    """Return the plan of a plan.json; whether it keeps its promises is for `check` to say."""
    text = read_bounded(path, MAX_BYTES)
    value = parse_json(text, str(path))
    if not isinstance(value, dict):
        raise SpecError(str(path), f"found {found(value)}, needed an object with a plan")
    problem = version_problem(value.get("version"), PLAN_VERSION)
    if problem:
        raise _error(path, (problem,))
    try:
        return Plan.model_validate_json(text, by_alias=True, by_name=False)
    except ValidationError as error:
        raise _error(path, explain(error, Plan)) from error


def _error(path: Path, problems: tuple[FieldError, ...]) -> SpecError:
    return one_error(problems, lambda place: f"{path}: {path_text(place)}" if place else str(path))
