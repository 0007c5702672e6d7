"""Compare a plan's predictions with what a launch took, and fit what closes the gap."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from hexplan.cluster import Correction
from hexplan.cost.corrections import find_correction
from hexplan.measured.calibration.edges import compare_edges, fit_links
from hexplan.measured.calibration.groups import (
    Basis,
    Factors,
    Kind,
    doubts,
    fit_group,
)
from hexplan.measured.calibration.nouns import (
    Calibration,
    EdgeComparison,
    GroupFit,
    LinkFit,
    PhaseComparison,
    StageComparison,
)
from hexplan.measured.calibration.parameters import PARAMETERS
from hexplan.measured.calibration.spread import middle
from hexplan.measured.calibration.steps import StepReader, TimedStep
from hexplan.measured.observations import Observations
from hexplan.plan import Plan, Stage

__all__ = [
    "Calibration",
    "EdgeComparison",
    "GroupFit",
    "LinkFit",
    "PhaseComparison",
    "StageComparison",
    "calibrate",
]

_MOST_CHARACTERS = 300
Runs = tuple[tuple[TimedStep, ...], ...]
"""The steps of a stage, launch by launch."""


def calibrate(plan: Plan, observations: Observations, day: str) -> Calibration:
    """Compare a plan's predictions with what was observed, and fit what closes the gap.

    Parameters
    ----------
    day
        Today's date, for the record.
    """
    readers = {stage.id: StepReader(plan, stage) for stage in plan.stages}
    runs = {stage.id: _runs(stage, readers[stage.id], observations) for stage in plan.stages}
    steps = {name: [step for run in mine for step in run] for name, mine in runs.items()}
    kind_of = {stage.id: _kind(readers[stage.id]) for stage in plan.stages}
    launches = observations.launches
    hardware = _hardware(observations)
    groups = tuple(_groups(plan, runs, readers, f"{hardware}, {day}"))
    corrections: dict[Kind | None, Correction] = {
        Kind(group.correction.device, group.correction.tp): group.correction for group in groups
    }
    compared = (
        StageComparison(
            stage=stage.id,
            devices=tuple(device.profile_name for device in readers[stage.id].devices),
            busy=_busy(stage, observations),
            phases=tuple(_phases(steps[stage.id], corrections.get(kind_of[stage.id]))),
        )
        for stage in plan.stages
    )
    transfers = observations.transfers
    is_here = all(host.address is None for host in plan.cluster.hosts)
    return Calibration(
        plan=plan.cluster.name,
        num_launches=len(launches),
        hardware=hardware,
        stages=tuple(stage for stage in compared if stage.phases),
        groups=groups,
        edges=compare_edges(plan, transfers),
        links=fit_links(plan, transfers) if is_here else (),
        remarks=tuple(_remarks(plan, observations, steps, kind_of, is_here)),
    )


def _runs(stage: Stage, reader: StepReader, observations: Observations) -> Runs:
    """Return the steps of a stage in each launch, without the first few of each."""
    by_launch = ([s for s in launch if s.stage == stage.id] for launch in observations.steps)
    read = (map(reader.read, launch[PARAMETERS.warmup_steps :]) for launch in by_launch)
    return tuple(tuple(step for step in launch if step.is_timed) for launch in read)


def _busy(stage: Stage, observations: Observations) -> float:
    """Return the share of the time between its first and last step that a stage ran steps."""
    busy_s = span_s = 0.0
    for launch in observations.steps:
        mine = [step for step in launch if step.stage == stage.id]
        if mine:
            busy_s += sum(step.seconds for step in mine)
            ends = [step.at_s + step.seconds for step in mine]
            span_s += max(ends) - min(step.at_s for step in mine)
    return min(1.0, busy_s / span_s) if span_s > 0 else 0.0


def _kind(reader: StepReader) -> Kind | None:
    """Return the kind of stage that a correction of this stage would apply to.

    Stages of unlike devices or of joined hosts are not corrected, and neither are those that are
    not tensor parallel.
    """
    if not reader.is_tensor or reader.is_joined:
        return None
    names = {device.profile_name for device in reader.devices}
    return Kind(names.pop(), len(reader.devices)) if len(names) == 1 else None


def _groups(
    plan: Plan, runs: dict[str, Runs], readers: dict[str, StepReader], source: str
) -> Iterator[GroupFit]:
    kinds = dict.fromkeys(kind for stage in plan.stages if (kind := _kind(readers[stage.id])))
    for kind in kinds:
        stages = [stage for stage in plan.stages if _kind(readers[stage.id]) == kind]
        together = [run for stage in stages for run in runs[stage.id]]
        mine = [step for run in together for step in run]
        why = tuple(doubts(mine, max(_planned_batch(plan, stage) for stage in stages)))
        known = find_correction(plan.cluster, readers[stages[0].id].devices)
        told = f"{len(mine)} steps on {source}"
        correction = fit_group(together, kind, known, Basis(told, is_sure=not why))
        if correction is not None:
            names = tuple(stage.id for stage in stages)
            yield GroupFit(stages=names, correction=correction, doubts=why)


def _planned_batch(plan: Plan, stage: Stage) -> int:
    """Return how many requests decode at once in the stage's predicted speed (formulation 4)."""
    held = stage.kv_tokens * (stage.layers[1] - stage.layers[0])
    return held // (plan.workload.mean_tokens * plan.model.layers)


def _phases(steps: Sequence[TimedStep], correction: Correction | None) -> Iterator[PhaseComparison]:
    for is_prefill in (True, False):
        mine = [step for step in steps if step.is_prefill == is_prefill]
        if not mine:
            continue
        ratio, spread = middle([step.observed_s / step.predicted_s for step in mine])
        after = None
        if correction is not None:
            factors = Factors.of(correction)
            after = middle([step.observed_s / factors.seconds(step) for step in mine])[0]
        yield PhaseComparison(
            phase="prefill" if is_prefill else "decode",
            num_steps=len(mine),
            ratio=ratio,
            spread=spread,
            corrected_ratio=after,
        )


def _hardware(observations: Observations) -> str:
    """Return the hardware that the launches ran on, in one line."""
    seen = dict.fromkeys(
        f"{launch.cores} cores ({launch.hardware}), torch {launch.torch}"
        for launch in observations.launches
    )
    text = "; ".join(seen) or "nothing"
    return "".join(c if c.isprintable() else "?" for c in text)[:_MOST_CHARACTERS]


def _remarks(
    plan: Plan,
    observations: Observations,
    steps: Mapping[str, Sequence[TimedStep]],
    kind_of: dict[str, Kind | None],
    is_here: bool,
) -> Iterator[str]:
    """Yield what the comparison cannot tell, and why."""
    num_devices = sum(stage.tp for stage in plan.stages)
    cores = min((launch.cores for launch in observations.launches), default=num_devices)
    if cores < num_devices:
        yield f"{num_devices} devices shared {cores} cores, so steps waited for one another"
    for stage in plan.stages:
        if not steps[stage.id]:
            first = PARAMETERS.warmup_steps
            yield f"{stage.id}: no steps were seen after the first {first} of a launch"
        elif stage.parallel != "tp":
            yield f"{stage.id}: it is {stage.parallel}, and only tp stages are corrected"
        elif plan.cluster.host_by_name[stage.host].parts:
            yield f"{stage.id}: joined hosts share it; such stages are not corrected"
        elif kind_of[stage.id] is None:
            yield f"{stage.id}: unlike devices share it; such stages are not corrected"
    if not is_here:
        yield "hosts have addresses, but one machine played them all: no link was measured"
