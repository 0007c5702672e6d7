"""Measured speeds, which stand in a file of their own."""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal
from typing import TYPE_CHECKING

from pydantic import ValidationError

from hexplan.cluster import Profile
from hexplan.errors import InputError, SpecError
from hexplan.field_errors import explain, version_problem
from hexplan.noun import RATE_DIGITS
from hexplan.spec.devices import DeviceTable
from hexplan.spec.locate import Locator
from hexplan.spec.raw import ProfileText
from hexplan.yaml_reader import YamlDocument, read_yaml

if TYPE_CHECKING:
    from pathlib import Path

    from hexplan.model import Model
    from hexplan.spec.raw import MeasuredStageText

PROFILE_VERSION = 1
_RATE_UNIT = Decimal(1).scaleb(-RATE_DIGITS)


def read_profiles(file: Path, model: Model, table: DeviceTable) -> tuple[Profile, ...]:
    """Return what a profile file states, with devices by their names in `table`."""
    document = _read(file, table.at)
    at = Locator(str(file), document.lines)
    text = _validated(document, at)
    if text.model != model.name:
        problem = f"found '{text.model}', needed '{model.name}', the model of {table.at.file}"
        raise at.error(("model",), problem, hint="measure this model, or plan the measured one")
    table = DeviceTable(table.given, at)
    profiles: dict[tuple[str, int], Profile] = {}
    for index, stage in enumerate(text.stages):
        path = ("stages", index)
        device = table.find(stage.device, (*path, "device")).name
        if (device, stage.tp) in profiles:
            raise at.error(path, f"found {stage.tp} x {device} twice, needed it once")
        if len(stage.tokens_per_s) > model.layers:
            problem = f"found {len(stage.tokens_per_s)} speeds, needed at most {model.layers}"
            hint = f"the speeds are for 1, 2, ... layers, and {model.name} has {model.layers}"
            raise at.error((*path, "tokens_per_s"), problem, hint=hint)
        profiles[device, stage.tp] = _profile(device, stage, text.source)
    return tuple(profiles.values())


def _read(file: Path, at: Locator) -> YamlDocument:
    try:
        return read_yaml(file)
    except SpecError:
        raise
    except InputError as error:
        raise at.error(("profiles",), error.message, hint=error.hint) from error


def _validated(document: YamlDocument, at: Locator) -> ProfileText:
    problem = version_problem(document.data.get("version"), PROFILE_VERSION)
    if problem:
        raise at.errors([problem])
    try:
        return ProfileText.model_validate(document.data)
    except ValidationError as error:
        raise at.errors(explain(error, ProfileText)) from error


def _profile(device: str, stage: MeasuredStageText, source: str) -> Profile:
    return Profile(
        device=device,
        tp=stage.tp,
        tokens_per_s=tuple(
            Decimal(repr(rate)).quantize(_RATE_UNIT, ROUND_DOWN) for rate in stage.tokens_per_s
        ),
        source=source,
    )
