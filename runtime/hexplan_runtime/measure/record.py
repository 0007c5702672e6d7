"""The record: the samples of an unfinished measurement, and its circumstances, in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from hexplan.errors import InputError
from hexplan.field_types import Range
from hexplan.files.bounded import read_bounded, write_atomically
from hexplan.files.field_errors import explain
from hexplan.frozen_model import FrozenModel
from hexplan.model import Model
from hexplan_runtime.measure.devices import DeviceKind
from hexplan_runtime.measure.sample import Count, Point, Sample

_LIMIT_BYTES = 16 * 2**20


class Circumstances(FrozenModel):
    """What all samples of a record have in common."""

    model: Model
    """The model that is measured."""
    layers: Range
    """The layers that are measured in place of all, `[first, end)`."""
    device: str
    """What the device type is called."""
    kind: DeviceKind
    """The kind of device that it is measured on."""
    hardware: str
    """The processor's or the accelerator's own name."""
    torch: str
    """Version of torch."""
    repeats: Count
    """Timed runs of a point, at most."""
    together: Count = 1
    """Devices that work at once."""


class Record(FrozenModel):
    """An unfinished measurement."""

    version: Literal[1] = 1
    """Version of this format."""
    status: Literal["unfinished"] = "unfinished"
    """Says to whoever opens the file that it is not a profile."""
    circumstances: Circumstances
    """What every sample was measured under."""
    samples: tuple[Sample, ...] = ()
    """The samples, in the order in which they were measured."""

    def at(self, point: Point) -> Sample | None:
        """Return the sample of a point, if it has been measured."""
        return next((sample for sample in self.samples if sample.point == point), None)

    def plus(self, sample: Sample) -> Record:
        """Return the record with a sample, in place of an earlier one of the same point."""
        others = tuple(one for one in self.samples if one.point != sample.point)
        return self.model_copy(update={"samples": (*others, sample)})


def write_record(record: Record, path: Path) -> None:
    """Write a record whole or not at all."""
    write_atomically(path, record.model_dump_json(indent=1) + "\n")


def read_record(path: Path, expected: Circumstances) -> Record:
    """Read a record that was begun under the same circumstances.

    Raises
    ------
    InputError
        The file is no record, or one of other circumstances.
    """
    try:
        record = Record.model_validate_json(read_bounded(path, _LIMIT_BYTES))
    except ValidationError as error:
        first = explain(error, Record)[0]
        message = f"{path}: not an unfinished measurement: {first.problem}"
        raise InputError(message, hint="`--force` starts anew") from error
    for field in Circumstances.model_fields:
        found, needed = (getattr(c, field) for c in (record.circumstances, expected))
        if found != needed:
            message = f"{path}: begun with another {field}"
            if isinstance(found, str | int):
                message += f": found {found}, needed {needed}"
            raise InputError(message, hint="`--force` starts anew")
    return record
