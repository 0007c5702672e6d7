"""Profiles: measured speeds, in a file of their own."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import ROUND_DOWN, Decimal
from itertools import pairwise
from typing import TYPE_CHECKING

from pydantic import ValidationError

from hexplan.cluster import Profile
from hexplan.constants import RATE_DIGITS
from hexplan.files.field_errors import explain, version_problem
from hexplan.files.yaml_reader import YamlDocument
from hexplan.reading.devices import DeviceTable
from hexplan.reading.locate import Locator
from hexplan.reading.named_files import NamedFile
from hexplan.reading.text.profile_text import ProfileText
from hexplan.techniques import HOST_LINK_BYTES_PER_S

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from hexplan.device import DeviceType
    from hexplan.files.yaml_reader import YamlDocument
    from hexplan.model import Model
    from hexplan.reading.text.profile_text import MeasuredStageText
    from hexplan.wording import KeyPath

PROFILE_VERSION = 1
_RATE_UNIT = Decimal(1).scaleb(-RATE_DIGITS)


@dataclass(frozen=True, slots=True)
class Profiles:
    """What a profile file states."""

    stages: tuple[Profile, ...] = ()
    """Of each measured group of devices."""
    host_links: Mapping[str, int] = field(default_factory=dict)
    """What a device of each type fetches from host memory: the least of all its groups, in bytes/s.
    Types without a figure are not in it."""

    def host_link(self, devices: Sequence[DeviceType]) -> int | None:
        """Return the slowest link to devices; None if none was measured.

        Those that were not count as what is assumed without a profile.
        """
        names = [device.profile_name for device in devices]
        if self.host_links.keys().isdisjoint(names):
            return None
        return min(self.host_links.get(name, HOST_LINK_BYTES_PER_S) for name in names)


def read_profiles(file: Path, model: Model, table: DeviceTable) -> Profiles:
    """Return what a profile file states, with devices by their names in `table`."""
    named = NamedFile(file, "a profile", ("profiles",), table.at)
    document = named.read_yaml(("version", "model", "stages"))
    at = Locator(str(file), document.lines)
    text = _validated(document, at)
    if text.model != model.name:
        problem = f"found '{text.model}', needed '{model.name}', the model of {table.at.file}"
        raise at.error(("model",), problem, hint="measure this model, or plan the measured one")
    table = DeviceTable(table.given, at)
    profiles: dict[tuple[str, int], Profile] = {}
    links: dict[str, int] = {}
    for index, stage in enumerate(text.stages):
        path = ("stages", index)
        device = table.find(stage.device, (*path, "device")).name
        if (device, stage.tp) in profiles:
            raise at.error(path, f"found {stage.tp} x {device} twice, needed it once")
        if len(stage.tokens_per_s) > model.layers:
            problem = f"found {len(stage.tokens_per_s)} speeds, needed at most {model.layers}"
            hint = f"the speeds are for 1, 2, ... layers, and {model.name} has {model.layers}"
            raise at.error((*path, "tokens_per_s"), problem, hint=hint)
        _check_steps(stage, path, at)
        profiles[device, stage.tp] = _profile(device, stage, text.source)
        if stage.host_link_bytes_per_s is not None:
            rate = int(stage.host_link_bytes_per_s)
            links[device] = min(rate, links.get(device, rate))
    return Profiles(tuple(profiles.values()), links)


def _validated(document: YamlDocument, at: Locator) -> ProfileText:
    problem = version_problem(document.data.get("version"), PROFILE_VERSION)
    if problem:
        raise at.errors([problem])
    try:
        return ProfileText.model_validate(document.data)
    except ValidationError as error:
        raise at.errors(explain(error, ProfileText)) from error


def _check_steps(stage: MeasuredStageText, path: KeyPath, at: Locator) -> None:
    """Refuse step times that cannot be interpolated, or that cover only one phase."""
    tables = {"prefill_layer_s": stage.prefill_layer_s, "decode_layer_s": stage.decode_layer_s}
    others = {"head_s": stage.head_s, "step_s": stage.step_s}
    for name, points in (*tables.items(), *others.items()):
        if any(low[0] >= high[0] for low, high in pairwise(points)):
            problem = "found tokens that do not rise, needed each point above the one before"
            raise at.error((*path, name), problem)
        if points and (points[-1][0] == 0 or points[-1][1] == 0):
            problem = (
                f"found {list(points[-1])} last, needed a point with tokens and seconds above 0"
            )
            raise at.error((*path, name), problem)
    missing = [name for name, points in tables.items() if not points]
    if len(missing) == 1:
        problem = f"found it without `{missing[0]}`, needed both or none"
        raise at.error((*path, next(name for name in tables if name not in missing)), problem)
    for name, points in others.items():
        if missing and points:
            problem = "found it without the times of layers, needed them too"
            raise at.error((*path, name), problem)


def _exact_points(points: tuple[tuple[int, float], ...]) -> tuple[tuple[int, Decimal], ...]:
    return tuple((tokens, Decimal(repr(seconds))) for tokens, seconds in points)


def _profile(device: str, stage: MeasuredStageText, source: str) -> Profile:
    return Profile(
        device=device,
        tp=stage.tp,
        tokens_per_s=tuple(
            Decimal(repr(rate)).quantize(_RATE_UNIT, ROUND_DOWN) for rate in stage.tokens_per_s
        ),
        prefill_layer_s=_exact_points(stage.prefill_layer_s),
        decode_layer_s=_exact_points(stage.decode_layer_s),
        head_s=_exact_points(stage.head_s),
        step_s=_exact_points(stage.step_s),
        kv_tokens=stage.kv_tokens,
        max_prompts=stage.max_prompts,
        max_decode_tokens=stage.max_decode_tokens,
        slowdown=None if stage.slowdown is None else Decimal(repr(stage.slowdown)),
        **({"error": stage.error} if stage.error is not None else {}),
        source=source,
    )
