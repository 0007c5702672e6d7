"""One measurement from its wish to its profile file."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import torch

from hexplan.model import Model
from hexplan_runtime.measure.campaign import Hear, run_campaign
from hexplan_runtime.measure.clock import DeviceKind
from hexplan_runtime.measure.crew import Subject
from hexplan_runtime.measure.grid import Lengths, grid, middle_layers
from hexplan_runtime.measure.machine import check_degrees, hardware_name
from hexplan_runtime.measure.profile_files import ProfileFiles
from hexplan_runtime.measure.profile_text import profile_text
from hexplan_runtime.measure.rates import MeasuredStage
from hexplan_runtime.measure.record import Circumstances
from hexplan_runtime.measure.sample import Sample
from hexplan_runtime.model.architecture import read_architecture
from hexplan_runtime.model.model_files import weight_files


@dataclass(frozen=True, slots=True)
class Wish:
    """What to measure."""

    model: Model
    folder: Path
    """Where its weights are."""
    device: str
    """What the device type is called."""
    kind: DeviceKind
    degrees: tuple[int, ...]
    """Sizes of the groups."""
    lengths: Lengths
    memory_bytes: int | None
    """Memory of one device, where known."""
    repeats: int
    """Timed runs of a point, at most."""
    is_quick: bool
    """Whether few points will do."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What has been measured."""

    samples: tuple[Sample, ...]
    """Those of the grid, in its order."""
    num_points: int
    """Points that the grid has."""

    @property
    def is_complete(self) -> bool:
        """Whether nothing is missing, so that the profile is written."""
        return len(self.samples) == self.num_points


def measure(wish: Wish, files: ProfileFiles, hear: Hear, stop: Event) -> Outcome:
    """Measure what the files lack, and write the profile if nothing stops it.

    Raises
    ------
    InputError
        The wish cannot be fulfilled, or the files are in the way.
    LaunchError
        A process that measures failed.
    """
    check_degrees(wish.kind, wish.degrees, wish.model.kv_heads)
    weight_files(wish.folder)
    layers = middle_layers(wish.model.layers)
    architecture = read_architecture(wish.folder, wish.model)
    subject = Subject(wish.model, architecture, wish.folder, layers, wish.kind)
    circumstances = Circumstances(
        model=wish.model,
        layers=layers,
        device=wish.device,
        kind=wish.kind,
        hardware=hardware_name(wish.kind),
        torch=str(torch.__version__),
        repeats=wish.repeats,
    )
    points = grid(wish.lengths, wish.model.max_context, wish.degrees, is_quick=wish.is_quick)
    record = run_campaign(subject, points, files.begin(circumstances), files.keep, hear, stop)
    found = tuple(sample for point in points if (sample := record.at(point)) is not None)
    outcome = Outcome(found, len(points))
    if outcome.is_complete:
        stages = [
            MeasuredStage(tp, tuple(s for s in found if s.point.tp == tp), wish.lengths)
            for tp in wish.degrees
        ]
        day = datetime.datetime.now(datetime.UTC).date().isoformat()
        files.finish(profile_text(circumstances, stages, wish.memory_bytes, day))
    return outcome
