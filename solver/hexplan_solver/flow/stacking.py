"""The largest flow by stacking, where links do not bind (docs/formulation.md 7).

Layer by layer, what leaves the stages that end there goes to stages that hold the next layer and
have capacity left. By the claim of section 7 there is always enough of it, whatever was chosen
before. So the flow equals the least coverage, and the stages that hold the least covered layer are
its cut. Flow stays on its host and its site where it can, so that links carry little. It stays in
one piece where the layer has capacity to spare, so that there are few routes.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import accumulate

from hexplan_solver.flow.network import OUTSIDE, Network
from hexplan_solver.flow.partial_paths import PartialPath, completed_paths
from hexplan_solver.flow.residual import Residual
from hexplan_solver.flow.routes import Flow, Path, stage_term
from hexplan_solver.placement.placement import PlacedStage


def stacked_flow(network: Network) -> Flow | None:
    """Return a flow as large as the least coverage, or None if the links do not carry it."""
    layer, value = _least_covered(network.stages, network.spec.model.layers)
    stack = _Stack(network)
    if value == 0 or not stack.fill(value):
        return None
    holders = [i for i, s in enumerate(network.stages) if s.layers[0] <= layer < s.layers[1]]
    return Flow(value, stack.paths(), tuple(stage_term(network, i) for i in holders))


def most_flow(stages: Sequence[PlacedStage], num_layers: int) -> int:
    """Return the least coverage of a layer: a placement's flow, in 1e-6 tokens/s, without links."""
    return _least_covered(stages, num_layers)[1]


def _least_covered(stages: Sequence[PlacedStage], num_layers: int) -> tuple[int, int]:
    """Return the least covered layer, and the summed rate of the stages that hold it."""
    change = [0] * (num_layers + 1)
    for stage in stages:
        change[stage.layers[0]] += stage.rate
        change[stage.layers[1]] -= stage.rate
    coverage = list(accumulate(change[:-1]))
    return coverage.index(min(coverage)), min(coverage)


class _Stack:
    """Partial paths on their way through the layers."""

    def __init__(self, network: Network) -> None:
        cluster, stages = network.spec.cluster, network.stages
        self._num_layers = network.spec.model.layers
        self._residual = Residual(network)
        self._spare = 0
        self._end = [stage.layers[1] for stage in stages]
        hosts = {i: stage.host for i, stage in enumerate(stages)}
        sites = {i: cluster.site_of(host) for i, host in hosts.items()}
        self._nearness: tuple[dict[int, str], ...] = (hosts, sites, {})
        self._inside: dict[int, list[PartialPath]] = defaultdict(list)
        self._ending: dict[int, list[int]] = defaultdict(list)
        self._holders: dict[int, list[int]] = defaultdict(list)
        for i, stage in enumerate(stages):
            self._ending[stage.layers[1]].append(i)
            for layer in range(*stage.layers):
                self._holders[layer].append(i)

    def fill(self, value: int) -> bool:
        """Lead a flow through all layers; say whether the links carried it."""
        leaving = [PartialPath(value, OUTSIDE, None)]
        for layer in range(self._num_layers):
            if layer:
                leaving = [s for i in self._ending[layer] for s in self._inside.pop(i, ())]
            if leaving and not self._place(leaving, self._holders[layer]):
                return False
        last = [s for i in self._ending[self._num_layers] for s in self._inside[i]]
        return all(self._residual.take(s.amount, s.stage, OUTSIDE) == s.amount for s in last)

    def paths(self) -> tuple[Path, ...]:
        """Return the paths of what reached the end, the largest first."""
        return completed_paths(path for paths in self._inside.values() for path in paths)

    def _place(self, leaving: list[PartialPath], holders: Sequence[int]) -> bool:
        """Move flow into holders of a layer: on its host first, then at its site, then anywhere."""
        self._spare = sum(self._residual.of_stage[j] for j in holders)
        self._spare -= sum(path.amount for path in leaving)
        for place in self._nearness:
            near = defaultdict(list)
            for j in holders:
                near[place.get(j)].append(j)
            groups = defaultdict(list)
            for path in leaving:
                groups[place.get(path.stage)].append(path)
            leaving = [s for where, group in groups.items() for s in self._pack(group, near[where])]
        # What full links held up may still find a way around them.
        for target in holders:
            leaving = [rest for path in leaving for rest in self._move(path, target)]
        return not leaving

    def _pack(self, paths: Sequence[PartialPath], holders: Iterable[int]) -> list[PartialPath]:
        """Fill holder after holder, by whole partial paths where possible; return the rest."""
        targets = [j for j in holders if self._residual.of_stage[j]]
        sums = list(accumulate(path.amount for path in paths))
        rest, head, moved = [], 0, 0
        while targets and head < len(paths):
            target, until = self._choose(targets, sums, moved)
            targets.remove(target)
            while moved < until:
                part = min(sums[head], until) - moved
                rest += self._move(paths[head].part(part), target)
                moved += part
                head += moved == sums[head]
        if head < len(paths):
            rest += [paths[head].part(sums[head] - moved), *paths[head + 1 :]]
        return rest

    def _choose(self, targets: Sequence[int], sums: Sequence[int], moved: int) -> tuple[int, int]:
        """Choose the next holder to fill, and the running sum up to which it takes flow.

        First come holders that whole partial paths fill, except for what the layer can spare. Among
        these come first those that end last, since that means fewer hops.
        """
        found = []
        for target in targets:
            full = moved + self._residual.of_stage[target]
            fitting = bisect_right(sums, full)
            until = max(moved, sums[fitting - 1]) if fitting else moved
            waste = 0 if fitting == len(sums) else full - until
            found.append((waste > self._spare, -self._end[target], waste, target, until))
        is_cut, _, waste, target, until = min(found)
        if is_cut:
            return target, min(sums[-1], moved + self._residual.of_stage[target])
        self._spare -= waste
        return target, until

    def _move(self, path: PartialPath, target: int) -> list[PartialPath]:
        """Move as much into a stage as its capacity and the links allow; return the rest."""
        amount = self._residual.take(path.amount, path.stage, target)
        if amount:
            self._inside[target].append(PartialPath(amount, target, path))
        return [path.part(path.amount - amount)] if amount < path.amount else []
