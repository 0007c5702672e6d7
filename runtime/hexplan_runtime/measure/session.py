"""One measurement, from the job to its profile file."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import torch

from hexplan.errors import InputError
from hexplan.model import Model
from hexplan.wording import join_or
from hexplan_runtime.measure.campaign import Campaign, SampleListener
from hexplan_runtime.measure.crew import Subject
from hexplan_runtime.measure.devices import DeviceKind, check_degrees, hardware_name
from hexplan_runtime.measure.grid import Lengths, grid, middle_layers
from hexplan_runtime.measure.profile_files import ProfileFiles
from hexplan_runtime.measure.profile_text import profile_text
from hexplan_runtime.measure.rates import MeasuredStage
from hexplan_runtime.measure.record import Circumstances
from hexplan_runtime.measure.sample import Sample
from hexplan_runtime.model.architecture import OWN_FAMILIES, read_architecture
from hexplan_runtime.model.model_files import weight_files


@dataclass(frozen=True, slots=True)
class ProfileJob:
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
    """Whether a few points are enough."""
    together: int = 1
    """Devices that work at once."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The samples of a measurement, complete or not."""

    samples: tuple[Sample, ...]
    """Those of the points that were run often enough, in the order of the grid."""
    num_points: int
    """Points of the grid."""

    @property
    def is_complete(self) -> bool:
        """Whether every point is measured, so that the profile is written."""
        return len(self.samples) == self.num_points


def measure(job: ProfileJob, files: ProfileFiles, hear: SampleListener, stop: Event) -> Outcome:
    """Measure the points that the files lack, and write the profile unless `stop` comes first.

    Raises
    ------
    InputError
        The job cannot be done here, or the files are in the way.
    LaunchError
        A process that measures failed.
    """
    check_degrees(job.kind, job.degrees, job.model)
    weight_files(job.folder)
    layers = middle_layers(job.model.layers)
    architecture = read_architecture(job.folder, job.model)
    if not architecture.is_own:
        message = f"{job.model.name}: found a {job.model.family} model, whose layers are not timed"
        known = join_or(OWN_FAMILIES)
        raise InputError(message, hint=f"profiles can be measured for the families {known}")
    subject = Subject(
        job.model, architecture, job.folder, layers, job.kind, job.lengths, job.together
    )
    circumstances = Circumstances(
        model=job.model,
        layers=layers,
        device=job.device,
        kind=job.kind,
        hardware=hardware_name(job.kind),
        torch=str(torch.__version__),
        repeats=job.repeats,
        together=job.together,
    )
    points = grid(job.lengths, job.model.max_context, job.degrees, is_quick=job.is_quick)
    campaign = Campaign(subject, points, files.keep, hear, stop)
    record = campaign.run(files.begin(circumstances))
    enough = [point for point in points if not campaign.needs_more(record, point)]
    found = tuple(sample for point in enough if (sample := record.at(point)) is not None)
    outcome = Outcome(found, len(points))
    if outcome.is_complete:
        stages = [
            MeasuredStage(tp, tuple(s for s in found if s.point.tp == tp), job.lengths)
            for tp in job.degrees
        ]
        day = datetime.datetime.now(datetime.UTC).date().isoformat()
        files.finish(profile_text(circumstances, stages, job.memory_bytes, day))
    return outcome
