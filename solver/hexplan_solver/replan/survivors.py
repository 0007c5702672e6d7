"""What is left of a plan on a changed cluster: its stages, and the weights that devices hold."""

from __future__ import annotations

from dataclasses import dataclass

from hexplan.cost import HeldWeights
from hexplan.plan import Plan, Stage
from hexplan.results.replanning import GoneStage
from hexplan_solver.placement.placement import PlacedStage
from hexplan_solver.plans.read_back import read_back
from hexplan_solver.problem.problem import Problem

Holdings = dict[tuple[str, int], HeldWeights]
"""What each device (host, index) holds."""


@dataclass(frozen=True, slots=True)
class Survivors:
    """The stages that can go on as they are, and the reasons why the others cannot."""

    problem: Problem
    stages: tuple[PlacedStage, ...]
    gone: tuple[GoneStage, ...]


def holdings_of(problem: Problem, plan: Plan) -> Holdings:
    """Return the weights on every device that is left, even if its stage cannot go on."""
    before, after = plan.cluster, problem.spec.cluster
    held: Holdings = {}
    for stage in plan.stages:
        old_types = before.host_by_name[stage.host].devices
        places = _places(problem, plan, stage)
        for device, weights, place in zip(
            stage.devices, HeldWeights.of(stage), places, strict=True
        ):
            if place is None or after.is_excluded(*place):
                continue
            if after.host_by_name[place[0]].devices[place[1]] == old_types[device]:
                held[place] = weights
    return held


def survivors_of(problem: Problem, plan: Plan) -> Survivors:
    """Sort a plan's stages into those that can go on as they are and those that cannot."""
    held = holdings_of(problem, plan)
    found = [(stage, _why_not(problem, plan, stage, held)) for stage in plan.stages]
    moved = (_relocated(problem, plan, stage) for stage, reason in found if not reason)
    back = read_back(problem, moved)
    placed = iter(back.stages)
    kept, gone = [], []
    for stage, reason in found:
        survivor = None if reason else next(placed)
        if survivor is not None and survivor.rate:
            kept.append(survivor)
            continue
        why = reason or "it has no room for the longest request any more, or no measured speed"
        gone.append(GoneStage(id=stage.id, host=stage.host, layers=stage.layers, reason=why))
    return Survivors(back.problem, tuple(kept), tuple(gone))


def _places(problem: Problem, plan: Plan, stage: Stage) -> list[tuple[str, int] | None]:
    """Return the present host and index of each device of a stage; None if it is gone."""
    slots = plan.cluster.host_by_name[stage.host].slots
    return [problem.spec.cluster.place_of.get(slots[device]) for device in stage.devices]


def _relocated(problem: Problem, plan: Plan, stage: Stage) -> Stage:
    """Return a stage under the present host and indices of its devices, all on one host.

    They differ from the plan's only if hosts were joined or are joined no longer.
    """
    places = [place for place in _places(problem, plan, stage) if place is not None]
    shards = tuple(
        shard.model_copy(update={"device": device})
        for shard, (_, device) in zip(stage.shards, places, strict=True)
    )
    return stage.model_copy(update={"host": places[0][0], "shards": shards})


def _why_not(problem: Problem, plan: Plan, before: Stage, held: Holdings) -> str:
    """Say why a stage cannot go on in the changed cluster; an empty text if it can."""
    cluster, whole = problem.spec.cluster, plan.cluster.host_by_name[before.host]
    places = _places(problem, plan, before)
    if whole.parts and (None in places or len({place[0] for place in places if place}) > 1):
        return f"{whole.label} work as one no longer"
    stage = before if None in places else _relocated(problem, plan, before)
    if stage.host not in cluster.host_by_name:
        return f"host {stage.host} is gone"
    lost = [device for device in stage.devices if (stage.host, device) not in held]
    if len(lost) == len(cluster.host_by_name[stage.host].devices):
        return f"host {stage.host} is gone"
    if lost:
        named = ", ".join(map(str, lost))
        return f"{'devices' if len(lost) > 1 else 'device'} {named} of {stage.host} gone"
    if len(stage.devices) > 1 and cluster.host_by_name[stage.host].interconnect is None:
        return f"{stage.host} has no interconnect any more"
    for pin in cluster.layer_pins:
        if pin.host == stage.host and pin.layers != stage.layers:
            return f"{stage.host} is now pinned to layers [{pin.layers[0]}, {pin.layers[1]})"
    for group in cluster.group_pins:
        shared = set(group.devices) & set(stage.devices)
        if group.host == stage.host and shared and set(group.devices) != set(stage.devices):
            return f"devices {list(group.devices)} of {stage.host} are now pinned together"
    return ""
