"""Robustness: the flow of a plan if its stages are faster or slower than predicted.

Worlds are drawn within the error bands of the speeds. In a world all devices of one type err alike,
as their datasheet or their measurement does. The routes keep their shares of the requests, as the
launcher keeps them, so the stage that is slowest for its load sets the pace. Links are as they are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from hexplan.plan import Plan, Stage

NUM_WORLDS = 100
"""Worlds that are drawn."""


@dataclass(frozen=True, slots=True)
class Speed:
    """How far a speed may be off, and what it depends on."""

    device_types: tuple[str, ...] = ()
    """Of a stage; a link has none, and is the same in every world."""
    error: float = 0.0
    """As a share of the speed."""

    def factor(self, world: int) -> float:
        """Return the speed in a world, as a share of the predicted one.

        A stage is as slow as its slowest type. The numbers depend on the names alone, so all plans
        are held against the same worlds.
        """
        return 1 + self.error * min((_number(name, world) for name in self.device_types), default=0)


@dataclass(frozen=True, slots=True)
class Part:
    """A stage or a link in use."""

    headroom: float
    """Its capacity over its load, as predicted."""
    speed: Speed = Speed()


@dataclass(frozen=True, slots=True)
class Robustness:
    """Shares of the predicted flow: in 5, 50 and 95 % of the worlds a plan passes less."""

    p5: float
    median: float
    p95: float


def robustness(parts: Sequence[Part], cut: Sequence[Part] = ()) -> Robustness:
    """Return what share of its flow a plan passes in the worlds.

    Parameters
    ----------
    cut
        Priced capacities whose sum no flow exceeds, each as a share of the flow. They hold what
        network cards and shared lines carry.
    """
    shares = sorted(_share(parts, cut, world) for world in range(NUM_WORLDS))
    return Robustness(*(shares[int(NUM_WORLDS * quantile)] for quantile in (0.05, 0.5, 0.95)))


def robustness_of_plan(plan: Plan) -> Robustness:
    """Return the robustness of a plan, which need not be sound."""
    speeds = {
        f"stage:{stage.id}": Speed(_device_types(plan, stage), float(stage.speed_error))
        for stage in plan.stages
    }
    parts = [
        Part(float(s.capacity_tokens_per_s / s.load_tokens_per_s), speeds[f"stage:{s.id}"])
        for s in plan.stages
        if s.load_tokens_per_s
    ]
    links = [
        Part(float(edge.capacity_tokens_per_s / edge.tokens_per_s))
        for edge in plan.edges
        if edge.tokens_per_s
    ]
    flow = plan.certificate.flow_tokens_per_s
    cut = [
        Part(float(term.price * term.capacity / flow), speeds.get(term.constraint, Speed()))
        for term in plan.certificate.cut
        if flow
    ]
    return robustness([*parts, *links], cut)


def _device_types(plan: Plan, stage: Stage) -> tuple[str, ...]:
    """Return the types of a stage's devices; the host stands for what the cluster lacks."""
    host = plan.cluster.host_by_name.get(stage.host)
    known = () if host is None else host.devices
    types = {known[d] if 0 <= d < len(known) else stage.host for d in stage.devices}
    return tuple(sorted(types))


def _share(parts: Sequence[Part], cut: Sequence[Part], world: int) -> float:
    narrowest = min((part.headroom * part.speed.factor(world) for part in parts), default=1.0)
    if not cut:
        return narrowest
    return min(narrowest, sum(part.headroom * part.speed.factor(world) for part in cut))


def _number(name: str, world: int) -> float:
    """Return a number between -1 and 1 that is uniform over worlds."""
    digest = hashlib.sha256(f"{world}:{name}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**63 - 1
