"""A family at prices: the parts whose speed, less what they cost, is largest."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from hexplan.constants import MICRO
from hexplan_solver.problem.problem import Problem, StageKind
from hexplan_solver.replicas.cover import Offer, cheapest_cover
from hexplan_solver.replicas.params import REPLICA_PARAMS
from hexplan_solver.replicas.parts import Family, HostPart


class PricedFamily:
    """What the parts of a family hold at each speed; known before any prices are."""

    def __init__(self, problem: Problem, family: Family) -> None:
        self.family = family
        every = [*family.parts, *([family.main] if family.main is not None else [])]
        speeds = _speeds(problem, frozenset(kind for part in every for kind in part.kinds))
        self._speeds = [speed / MICRO for speed in speeds]
        held = np.array([_held(problem, part, speeds) for part in every]).reshape(len(every), -1)
        self._held = held[: len(family.parts)]
        own = held[-1] if family.main is not None else np.zeros(len(speeds), dtype=np.int64)
        self._need = np.maximum(0, problem.num_layers - own)
        self._counts = [_count(problem, part, family.main) for part in family.parts]
        self._most = family.most_parts or problem.num_layers

    def best(self, costs: Sequence[float], own: float, least: float) -> Sequence[HostPart] | None:
        """Return the parts beside the main one that gain most; None if none gains enough.

        Parameters
        ----------
        costs
            What each part costs, in tokens/s.
        own
            What the main part costs.
        least
            What they have to gain, as a share of their speed.
        """
        most = self._most_gains(costs, own)
        best, taken = -math.inf, None
        for i in np.argsort(-most, kind="stable"):
            speed = self._speeds[i]
            if most[i] <= max(best, least * speed):
                if most[i] <= best:
                    break
                continue
            held = self._held[:, i] if len(self._held) else ()
            offers = [
                Offer(int(layers), cost, count)
                for layers, cost, count in zip(held, costs, self._counts, strict=True)
            ]
            found = cheapest_cover(offers, int(self._need[i]), self._most)
            gain = -math.inf if found is None else speed - found.price - own
            if found is not None and gain > max(best, least * speed):
                best, taken = gain, found.taken
        if taken is None:
            return None
        numbers = zip(self.family.parts, taken, strict=True)
        return [part for part, count in numbers for _ in range(count)]

    def _most_gains(self, costs: Sequence[float], own: float) -> np.ndarray[tuple[int], np.dtype]:
        """Return what no choice of parts gains more than, at each speed: layers at least price."""
        speeds = np.array(self._speeds)
        if not len(self._held):
            return np.where(self._need > 0, -np.inf, speeds - own)
        counts = np.array(self._counts)[:, None]
        dear = np.array(costs)[:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            a_layer = np.where(self._held > 0, dear / self._held, np.inf).min(axis=0)
            price = np.where(self._need > 0, a_layer * self._need, 0.0)
        reach = (self._held * counts).sum(axis=0) >= self._need
        return np.where(reach, speeds - own - price, -np.inf)


def _count(problem: Problem, part: HostPart, main: HostPart | None) -> int:
    """Return how many such parts one replica may have: each on a host of its own."""
    hosts = len(problem.classes[part.host_class].hosts)
    return hosts - (main is not None and main.host_class == part.host_class)


def _speeds(problem: Problem, kinds: frozenset[int]) -> list[int]:
    """Return speeds at which the layers that parts hold change, some of them if many."""
    found = sorted({rate for kind in kinds for rate in _row(problem.kinds[kind]) if rate})
    most = max(REPLICA_PARAMS.speeds, REPLICA_PARAMS.speeds_of_kinds // len(kinds))
    if len(found) <= most:
        return found
    # Evenly in proportion, as speeds span orders of magnitude.
    low, high = math.log(found[0]), math.log(found[-1])
    wanted = [math.exp(low + (high - low) * i / (most - 1)) for i in range(most)]
    return sorted({min(found, key=lambda rate: abs(rate - speed)) for speed in wanted})


def _held(problem: Problem, part: HostPart, speeds: Sequence[int]) -> list[int]:
    """Return the most layers that the stages of a part hold together, at each speed at least."""
    rows = [_row(problem.kinds[kind]) for kind in part.kinds]
    return [
        sum(max((k for k, rate in enumerate(row) if rate >= speed), default=0) for row in rows)
        for speed in speeds
    ]


def _row(kind: StageKind) -> tuple[int, ...]:
    """Return the speed of a stage by the layers held: inside the model, or with all of it."""
    rates = kind.rates
    total = rates.num_layers
    inside = rates.by_layers[False][False][: max(0, total - 1)]
    at_ends = rates.by_layers[True][False][len(inside) : total]
    return (*inside, *at_ends, rates.of(0, total))
