"""Observations of a launch: the time of each step of each stage, and of each message.

A file of observations has one JSON object a line. The first one names the plan. Each launch
begins with its own line, and its times count from there.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final, Literal, TypeVar

from pydantic import Field, ValidationError

from hexplan.errors import InputError, SpecError
from hexplan.field_types import Range
from hexplan.files.bounded import read_bounded
from hexplan.files.field_errors import explain, version_problem
from hexplan.files.json_reader import MAX_BYTES, parse_json
from hexplan.frozen_model import FrozenModel
from hexplan.plan import Plan
from hexplan.wording import found, path_text

if TYPE_CHECKING:
    from pathlib import Path

OBSERVATIONS_VERSION: Final = 1
_ONE_PLAN = "observations hold for one plan: launch this one with `--observe`"

T = TypeVar("T", bound=FrozenModel)
Count = Annotated[int, Field(ge=0, le=10**12)]
Seconds = Annotated[float, Field(ge=0, le=1e6)]
Moment = Annotated[float, Field(ge=-1e9, le=1e9)]


class Header(FrozenModel):
    """The first line of a file."""

    kind: Literal["observations"] = "observations"
    """What the file is."""
    version: Literal[1] = 1
    """Version of this format."""
    plan: str
    """What the plan's cluster is called."""
    plan_sha256: str
    """Hash of the plan without how it was solved."""

    @classmethod
    def of(cls, plan: Plan) -> Header:
        """Return the first line of observations of a plan."""
        return cls(plan=plan.cluster.name, plan_sha256=plan_sha256(plan))


class LaunchSeen(FrozenModel):
    """The start of a launch; the lines after it belong to this launch."""

    kind: Literal["launch"] = "launch"
    """What the line says."""
    begun: str
    """When all stages were ready."""
    hardware: str
    """The processor that played all hosts: a launch runs on one machine."""
    cores: Annotated[int, Field(gt=0)]
    """Cores that it could use."""
    torch: str
    """Version of torch."""


class Load(FrozenModel):
    """The part of a step that enters the stage at one layer."""

    enter_layer: Count
    """The first layer that it runs."""
    prompt_tokens: Count = 0
    """Tokens of prompts."""
    reach: Annotated[float, Field(ge=0, le=1e18)] = 0.0
    """Sum of the positions that they attend to: `n (o + n / 2)` for n tokens after the first o."""
    decode_tokens: Count = 0
    """Tokens that are decoded, one a request."""
    context: Count = 0
    """Sum of the positions that they attend to."""


class StepSeen(FrozenModel):
    """One step of a stage, timed by its leader's clock."""

    kind: Literal["step"] = "step"
    """What the line says."""
    stage: str
    """Stage id."""
    at_s: Moment
    """When it began, in seconds since the launch was ready."""
    seconds: Seconds
    """From the batch's entry into the stage's layers to its results, on all devices."""
    loads: Annotated[tuple[Load, ...], Field(min_length=1)]
    """What was in it, by the layer where it entered."""
    sampled_rows: Count = 0
    """Rows that went through the output head, in a last stage."""


class TransferSeen(FrozenModel):
    """One message over an edge, timed by the clock that sender and receiver share."""

    kind: Literal["transfer"] = "transfer"
    """What the line says."""
    source: Annotated[str, Field(alias="from")]
    """A stage id, or `entry`."""
    target: Annotated[str, Field(alias="to")]
    """A stage id, or `exit`."""
    at_s: Moment
    """When its sending began, in seconds since the launch was ready."""
    seconds: Seconds
    """Until the receiver had all of it, including the wait for earlier messages."""
    tokens: Count
    """Tokens that it carried."""
    bytes: Count
    """Bytes that it carried, including its header."""


Line = LaunchSeen | StepSeen | TransferSeen
_KINDS: Final[dict[str, type[Line]]] = {
    "launch": LaunchSeen,
    "step": StepSeen,
    "transfer": TransferSeen,
}


@dataclass(frozen=True, slots=True)
class Observations:
    """All observations of one plan, launch by launch."""

    launches: tuple[LaunchSeen, ...]
    steps: tuple[tuple[StepSeen, ...], ...]
    transfers: tuple[TransferSeen, ...]


def plan_sha256(plan: Plan) -> str:
    """Return a hash of what a plan does and predicts, whenever it was solved."""
    text = plan.model_dump_json(by_alias=True, exclude={"solve"})
    return hashlib.sha256(text.encode()).hexdigest()


def line_text(noun: Header | Line) -> str:
    """Return a line of the file."""
    return noun.model_dump_json(by_alias=True) + "\n"


def read_observations(path: Path, plan: Plan) -> Observations:
    """Read what was observed of a plan.

    A last line without a newline, which a killed launch leaves, is ignored.

    Raises
    ------
    InputError
        The file cannot be read, or is of another plan, or a line of it is wrong.
    """
    lines = read_bounded(path, MAX_BYTES).split("\n")[:-1]
    if not lines:
        message = f"{path}: found no line, needed observations"
        raise InputError(message, hint="`hexplan launch PLAN --observe FILE` writes them")
    check_header(path, lines[0], plan)
    launches: list[LaunchSeen] = []
    steps: list[list[StepSeen]] = []
    transfers: list[TransferSeen] = []
    for number, text in enumerate(lines[1:], 2):
        where = f"{path}:{number}"
        noun = _read_line(text, path, number)
        if isinstance(noun, LaunchSeen):
            launches.append(noun)
            steps.append([])
        elif not launches:
            raise SpecError(where, f"found a {noun.kind}, needed a launch before it")
        elif isinstance(noun, StepSeen):
            _check_step(noun, plan, where)
            steps[-1].append(noun)
        else:
            _check_transfer(noun, plan, where)
            transfers.append(noun)
    return Observations(tuple(launches), tuple(map(tuple, steps)), tuple(transfers))


def check_header(path: Path, text: str, plan: Plan) -> None:
    """Refuse a file whose first line is not that of observations of this plan."""
    where = f"{path}:1"
    value = _parse(text, path, 1)
    if value.get("kind") != "observations":
        problem = f"found {found(value.get('kind'))} as `kind`, needed 'observations'"
        raise SpecError(where, problem, hint="`hexplan launch PLAN --observe FILE` writes them")
    if problem_with := version_problem(value.get("version"), OBSERVATIONS_VERSION):
        raise SpecError(where, f"version: {problem_with.problem}", hint=problem_with.hint)
    header = _validated(Header, value, where)
    own = plan_sha256(plan)
    if header.plan_sha256 != own:
        seen = f"'{header.plan}' ({header.plan_sha256[:12]})"
        problem = f"found observations of the plan {seen}, needed '{plan.cluster.name}'"
        raise SpecError(where, f"{problem} ({own[:12]})", hint=_ONE_PLAN)


def _read_line(text: str, path: Path, number: int) -> Line:
    value, where = _parse(text, path, number), f"{path}:{number}"
    kind = value.get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        needed = ", ".join(map(repr, _KINDS))
        raise SpecError(where, f"found {found(kind)} as `kind`, needed one of {needed}")
    return _validated(_KINDS[kind], value, where)


def _parse(text: str, path: Path, number: int) -> dict[str, object]:
    try:
        value = parse_json(text, str(path))
    except InputError:
        parse_json("\n" * (number - 1) + text, str(path))  # fails again, and names the line
        raise
    if not isinstance(value, dict):
        where = f"{path}:{number}"
        raise SpecError(where, f"found {found(value)}, needed an object")
    return dict(value)


def _validated(noun: type[T], value: dict[str, object], where: str) -> T:
    try:
        return noun.model_validate_json(json.dumps(value), by_alias=True, by_name=False)
    except ValidationError as error:
        first = explain(error, noun)[0]
        place = f"{path_text(first.path)}: " if first.path else ""
        raise SpecError(where, f"{place}{first.problem}", hint=first.hint) from error


def _check_step(step: StepSeen, plan: Plan, where: str) -> None:
    stage = next((stage for stage in plan.stages if stage.id == step.stage), None)
    if stage is None:
        raise SpecError(where, f"stage: found {found(step.stage)}, needed a stage of the plan")
    first, end = stage.layers
    wrong = next((load.enter_layer for load in step.loads if not _holds(stage.layers, load)), None)
    if wrong is not None:
        problem = f"found the layer {wrong}, needed one of [{first}, {end}), those of {stage.id}"
        raise SpecError(where, f"loads: {problem}")


def _holds(layers: Range, load: Load) -> bool:
    return layers[0] <= load.enter_layer < layers[1]


def _check_transfer(transfer: TransferSeen, plan: Plan, where: str) -> None:
    ends = transfer.source, transfer.target
    if ends not in {(edge.source, edge.target) for edge in plan.edges}:
        problem = f"found an edge from {found(ends[0])} to {found(ends[1])}, needed one of the plan"
        raise SpecError(where, problem)
