"""Small random changes of a placement, after which every stage can still hold its layers.

Which changes there are, and how far each reaches, was chosen by trial on the example specs.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

from hexplan.field_types import Range
from hexplan_solver.flow.flow_program import Limiting
from hexplan_solver.links.params import LINK_PARAMS, LinkParams
from hexplan_solver.placement.naming import group_devices
from hexplan_solver.placement.placement import PlacedStage, Placement
from hexplan_solver.problem.problem import Problem

Stages = list[PlacedStage]
"""The stages of a placement that is being changed."""


class Moves:
    """Draws neighbours of a placement."""

    def __init__(
        self, problem: Problem, rng: random.Random, params: LinkParams = LINK_PARAMS
    ) -> None:
        self._problem, self._params = problem, params
        self._rng = rng
        self._limiting: Limiting = frozenset()
        self._hosts = [
            (host, index)
            for index, host_class in enumerate(problem.classes)
            for host in host_class.hosts
        ]
        self._moves: list[Callable[[Stages], Stages | None]] = [
            self._resize,
            self._resize,  # twice as likely as the others
            self._shift,
            self._swap,
            self._align,
            self._exchange_segments,
            self._regroup,
        ]

    def neighbour(self, placement: Placement, limiting: Limiting = frozenset()) -> Placement | None:
        """Return a changed placement, or None if the change drawn is impossible.

        Parameters
        ----------
        limiting
            Stages that limit the flow, by host and layers; most changes relieve these.
        """
        self._limiting = limiting
        changed = self._rng.choice(self._moves)(list(placement))
        if changed is None or changed == list(placement):
            return None
        return Placement.of(changed)

    def _draw(self, stages: Stages, limiting_share: float) -> int:
        """Draw a stage: with this probability one that limits the flow, and otherwise another."""
        is_limiting = self._rng.random() < limiting_share
        drawn = [
            i
            for i, stage in enumerate(stages)
            if ((stage.host, stage.layers) in self._limiting) == is_limiting
        ]
        return self._rng.choice(drawn) if drawn else self._rng.randrange(len(stages))

    def _fitted(self, stage: PlacedStage, layers: Range) -> PlacedStage | None:
        """Return a stage with other layers, or None if it cannot hold them."""
        kind = self._problem.kinds[stage.kind]
        if not 0 <= layers[0] < layers[1] <= self._problem.num_layers:
            return None
        if kind.pin is not None and kind.pin != layers:
            return None
        if layers[1] - layers[0] > kind.rates.max_layers:
            return None
        rate = kind.rates.of(*layers)
        return replace(stage, layers=layers, rate=rate) if rate else None

    def _set(self, stages: Stages, i: int, layers: Range) -> bool:
        fitted = self._fitted(stages[i], layers)
        if fitted is not None:
            stages[i] = fitted
        return fitted is not None

    def _resize(self, stages: Stages) -> Stages | None:
        """Move one or both ends of one stage a little."""
        i = self._draw(stages, self._params.limiting_resized)
        first, end = stages[i].layers
        low, high = self._rng.choice(((1, 0), (0, 1), (1, 1)))
        step = self._rng.choice((-2, -1, 1, 2))
        return stages if self._set(stages, i, (first + low * step, end + high * step)) else None

    def _shift(self, stages: Stages) -> Stages | None:
        """Move a boundary that stages share."""
        boundary = self._rng.choice(stages).layers[1]
        if boundary == self._problem.num_layers:
            return None
        moved = boundary + self._rng.choice((-1, 1))
        for i, stage in enumerate(stages):
            if boundary in stage.layers:
                first, end = (moved if layer == boundary else layer for layer in stage.layers)
                if not self._set(stages, i, (first, end)):
                    return None
        return stages

    def _swap(self, stages: Stages) -> Stages | None:
        """Let two stages exchange their layers."""
        i, j = self._rng.sample(range(len(stages)), 2) if len(stages) > 1 else (0, 0)
        first, second = stages[i].layers, stages[j].layers
        return stages if self._set(stages, i, second) and self._set(stages, j, first) else None

    def _align(self, stages: Stages) -> Stages | None:
        """Move one stage to where another begins or ends; it keeps about its number of layers."""
        i = self._draw(stages, self._params.limiting_moved)
        j = self._draw(stages, self._params.limiting_met)
        size = stages[i].layers[1] - stages[i].layers[0]
        size += self._rng.choice((-1, 0, 0, 1))
        first, end = stages[j].layers
        ranges = (
            (first, first + size),
            (end, end + size),
            (first - size, first),
            (end - size, end),
        )
        return stages if self._set(stages, i, self._rng.choice(ranges)) else None

    def _exchange_segments(self, stages: Stages) -> Stages | None:
        """Exchange two neighbouring ranges of layers whose ends no stage crosses."""
        crossed = {layer for s in stages for layer in range(s.layers[0] + 1, s.layers[1])}
        edges = [layer for layer in range(self._problem.num_layers + 1) if layer not in crossed]
        if len(edges) < 3:
            return None
        low, middle, high = sorted(self._rng.sample(edges, 3))
        for i, stage in enumerate(stages):
            first, end = stage.layers
            by = high - middle if low <= first < middle else low - middle
            if low <= first < high and not self._set(stages, i, (first + by, end + by)):
                return None
        return stages

    def _regroup(self, stages: Stages) -> Stages | None:
        """Form other groups of one host's devices, used or not.

        The new stages hold the same layers side by side, or different ones in a row.
        """
        host, host_class = self._rng.choice(self._hosts)
        way = self._rng.choice(self._problem.classes[host_class].partitions)
        own = [s for s in stages if s.host == host]
        others = [s for s in stages if s.host != host]
        places = [s.layers for s in own] or [self._rng.choice(stages).layers]
        first, end = min(a for a, _ in places), max(b for _, b in places)
        groups = list(group_devices(self._problem, host, way))
        is_chain = self._rng.random() < 0.5
        for position, (kind, devices) in enumerate(groups):
            if is_chain:
                cuts = [first + (end - first) * n // len(groups) for n in (position, position + 1)]
                layers = (cuts[0], cuts[1])
            else:
                layers = self._rng.choice([*places, (first, end)])
            too_many = layers[1] - layers[0] - self._problem.kinds[kind].rates.max_layers
            if too_many > 0:
                skipped = self._rng.randint(0, too_many)
                layers = (layers[0] + skipped, layers[1] - (too_many - skipped))
            stage = self._fitted(PlacedStage(layers, host, devices, kind, 0), layers)
            if stage is None:
                return None
            others.append(stage)
        return others
