"""The largest flow by stacking, where links do not bind (docs/formulation.md 7).

Layer by layer, what leaves the stages that end goes to stages that hold the next layer and have
room. Room never lacks, whatever was chosen before, so the flow equals the least coverage, and the
stages that hold the least covered layer are its cut. Flow moves in strands, which become routes; it
stays on its host and its site where it can, and in one piece where the layer has room to spare.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import accumulate

from hexplan_solver.flow.network import OUTSIDE, Network
from hexplan_solver.flow.residual import Room
from hexplan_solver.flow.routes import Flow, Path, stage_term
from hexplan_solver.flow.strands import Strand, paths_of_strands


def stacked_flow(network: Network) -> Flow | None:
    """Return a flow of the value of the least coverage, or None where links stand in its way."""
    layer, value = _least_covered(network)
    stack = _Stack(network)
    if value == 0 or not stack.fill(value):
        return None
    holders = [i for i, s in enumerate(network.stages) if s.layers[0] <= layer < s.layers[1]]
    return Flow(value, stack.paths(), tuple(stage_term(network, i) for i in holders))


def _least_covered(network: Network) -> tuple[int, int]:
    """Return the least covered layer and the summed speed over it."""
    change = [0] * (network.spec.model.layers + 1)
    for stage in network.stages:
        change[stage.layers[0]] += stage.rate
        change[stage.layers[1]] -= stage.rate
    coverage = list(accumulate(change[:-1]))
    return coverage.index(min(coverage)), min(coverage)


class _Stack:
    """Strands on their way through the layers."""

    def __init__(self, network: Network) -> None:
        cluster, stages = network.spec.cluster, network.stages
        self._num_layers = network.spec.model.layers
        self._room = Room(network)
        self._spare = 0
        self._end = [stage.layers[1] for stage in stages]
        hosts = {i: stage.host for i, stage in enumerate(stages)}
        sites = {i: cluster.site_of(host) for i, host in hosts.items()}
        self._nearness: tuple[dict[int, str], ...] = (hosts, sites, {})
        self._inside: dict[int, list[Strand]] = defaultdict(list)
        self._ending: dict[int, list[int]] = defaultdict(list)
        self._holders: dict[int, list[int]] = defaultdict(list)
        for i, stage in enumerate(stages):
            self._ending[stage.layers[1]].append(i)
            for layer in range(*stage.layers):
                self._holders[layer].append(i)

    def fill(self, value: int) -> bool:
        """Lead a flow through all layers; say whether the links carried it."""
        leaving = [Strand(value, OUTSIDE, None)]
        for layer in range(self._num_layers):
            if layer:
                leaving = [s for i in self._ending[layer] for s in self._inside.pop(i, ())]
            if leaving and not self._place(leaving, self._holders[layer]):
                return False
        last = [s for i in self._ending[self._num_layers] for s in self._inside[i]]
        return all(self._room.take(s.amount, s.stage, OUTSIDE) == s.amount for s in last)

    def paths(self) -> tuple[Path, ...]:
        """Return the routes of what reached the end, the largest first."""
        return paths_of_strands(s for strands in self._inside.values() for s in strands)

    def _place(self, leaving: list[Strand], holders: Sequence[int]) -> bool:
        """Put strands into holders: within hosts first, then within sites, then anywhere."""
        self._spare = sum(self._room.of_stage[j] for j in holders)
        self._spare -= sum(strand.amount for strand in leaving)
        for place in self._nearness:
            near = defaultdict(list)
            for j in holders:
                near[place.get(j)].append(j)
            groups = defaultdict(list)
            for strand in leaving:
                groups[place.get(strand.stage)].append(strand)
            leaving = [s for where, group in groups.items() for s in self._pack(group, near[where])]
        # What full links held up may still find a way around them.
        for target in holders:
            leaving = [rest for strand in leaving for rest in self._move(strand, target)]
        return not leaving

    def _pack(self, strands: Sequence[Strand], holders: Iterable[int]) -> list[Strand]:
        """Fill holder after holder, by whole strands where room is to spare; return the rest."""
        targets = [j for j in holders if self._room.of_stage[j]]
        sums = list(accumulate(strand.amount for strand in strands))
        rest, head, moved = [], 0, 0
        while targets and head < len(strands):
            target, until = self._choose(targets, sums, moved)
            targets.remove(target)
            while moved < until:
                part = min(sums[head], until) - moved
                rest += self._move(strands[head].cut(part), target)
                moved += part
                head += moved == sums[head]
        if head < len(strands):
            rest += [strands[head].cut(sums[head] - moved), *strands[head + 1 :]]
        return rest

    def _choose(self, targets: Sequence[int], sums: Sequence[int], moved: int) -> tuple[int, int]:
        """Choose the next holder to fill, and the sum of strands up to which it takes them.

        Holders whose room whole strands fill, but for what the layer can spare, come first, and
        among them those that end last: fewer hops.
        """
        found = []
        for target in targets:
            full = moved + self._room.of_stage[target]
            fitting = bisect_right(sums, full)
            until = max(moved, sums[fitting - 1]) if fitting else moved
            waste = 0 if fitting == len(sums) else full - until
            found.append((waste > self._spare, -self._end[target], waste, target, until))
        is_cut, _, waste, target, until = min(found)
        if is_cut:
            return target, min(sums[-1], moved + self._room.of_stage[target])
        self._spare -= waste
        return target, until

    def _move(self, strand: Strand, target: int) -> list[Strand]:
        """Move as much of a strand as room and links allow; return the rest of it."""
        amount = self._room.take(strand.amount, strand.stage, target)
        if amount:
            self._inside[target].append(Strand(amount, target, strand))
        return [strand.cut(strand.amount - amount)] if amount < strand.amount else []
