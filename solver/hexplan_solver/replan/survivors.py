"""What is left of a plan on a changed cluster: its stages, and the weights that devices hold."""

from __future__ import annotations

from dataclasses import dataclass

from hexplan.cost import HeldWeights
from hexplan.plan import Plan, Stage
from hexplan.replanning import GoneStage
from hexplan_solver.network import PlacedStage
from hexplan_solver.problem import Problem
from hexplan_solver.read_back import read_back

Holdings = dict[tuple[str, int], HeldWeights]
"""What each device (host, index) holds."""


@dataclass(frozen=True, slots=True)
class Survivors:
    """Stages that can go on as they are, and why the others cannot."""

    problem: Problem
    stages: tuple[PlacedStage, ...]
    gone: tuple[GoneStage, ...]


def holdings_of(problem: Problem, plan: Plan) -> Holdings:
    """Return the weights on every device that is still there, whether its stage is or not."""
    before, after = plan.cluster, problem.spec.cluster
    held: Holdings = {}
    for stage in plan.stages:
        new = after.host_by_name.get(stage.host)
        old_types = before.host_by_name[stage.host].devices
        for shard in stage.shards:
            device = shard.device
            is_there = new is not None and new.devices[device : device + 1] == (old_types[device],)
            if is_there and not after.is_excluded(stage.host, device):
                held[stage.host, device] = (
                    HeldWeights.of(shard, stage.layers)
                    if stage.parallel == "tp"
                    else HeldWeights.whole(plan.model, stage.layers, shard.vocab)
                )
    return held


def survivors_of(problem: Problem, plan: Plan) -> Survivors:
    """Sort a plan's stages into those that can go on as they are and those that cannot."""
    held = holdings_of(problem, plan)
    found: list[tuple[Stage, str]] = [(s, _why_not(problem, s, held)) for s in plan.stages]
    back = read_back(problem, (stage for stage, reason in found if not reason))
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


def _why_not(problem: Problem, stage: Stage, held: Holdings) -> str:
    """Say why a stage cannot stand in the changed cluster; nothing where it can."""
    cluster = problem.spec.cluster
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
