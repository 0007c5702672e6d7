"""Arrange a placement for its links: the order of its blocks, and which of like hosts serve which.

Where links are ignored, the order of segments does not matter, nor which of two hosts of one speed
takes which place. Where they bind, both do: two single stages at two sites share one slow link,
while a stage that splits its flow over five has five of them. The arrangement is searched for on a
simple measure, the flow that each boundary between two blocks can pass by itself.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import replace

from hexplan.cluster import COORDINATOR
from hexplan.cost import link_rate
from hexplan_solver.network import PlacedStage
from hexplan_solver.problem import Problem

MAX_STEPS = 6_000
"""Changes tried."""
COOLING = 0.1
"""At first, a change may lose about this share of the wanted flow at one boundary."""

Block = tuple[PlacedStage, ...]
"""Stages between two layers that no stage holds on both sides; their layers count from 0."""


def blocks_of(stages: Sequence[PlacedStage]) -> list[Block]:
    """Cut a placement at every layer that no stage crosses."""
    blocks: list[list[PlacedStage]] = []
    reach = 0
    for stage in sorted(stages):
        if stage.layers[0] >= reach:
            blocks.append([])
        blocks[-1].append(stage)
        reach = max(reach, stage.layers[1])
    return [_moved(block, -block[0].layers[0]) for block in blocks]


def arrange(
    problem: Problem, stages: Sequence[PlacedStage], wanted: int, seed: int
) -> list[PlacedStage]:
    """Return the placement in the order, and on the hosts, that pass the wanted flow best.

    Parameters
    ----------
    wanted
        The flow that the placement would have if links did not bind, in 1e-6 tokens/s.
    """
    if any(problem.kinds[stage.kind].pin is not None for stage in stages):
        return list(stages)  # moved or on other hosts, they would break the pins
    rng = random.Random(seed)  # noqa: S311 - a search, not a secret
    measure = _Measure(problem, wanted)
    current = blocks_of(stages)
    value = best_value = measure.of(current)
    best = current
    for step in range(MAX_STEPS):
        if best_value >= measure.most(best):
            break
        changed = _swap_hosts(problem, current, rng) if rng.random() < 0.5 else _move(current, rng)
        if changed is None:
            continue
        found = measure.of(changed)
        heat = COOLING * (1 - step / MAX_STEPS)
        if found >= value or rng.random() < math.exp((found - value) / wanted / heat):
            current, value = changed, found
            if found > best_value:
                best, best_value = changed, found
    return [stage for block in measure.laid_out(best) for stage in block]


def _moved(block: Sequence[PlacedStage], by: int) -> Block:
    return tuple(replace(s, layers=(s.layers[0] + by, s.layers[1] + by)) for s in block)


def _move(blocks: list[Block], rng: random.Random) -> list[Block] | None:
    """Take a run of blocks out and put it in elsewhere."""
    if len(blocks) < 2:
        return None
    first = rng.randrange(len(blocks))
    end = min(len(blocks), first + rng.choice((1, 1, 2, 3)))
    rest = blocks[:first] + blocks[end:]
    place = rng.randrange(len(rest) + 1)
    return rest[:place] + blocks[first:end] + rest[place:]


def _swap_hosts(problem: Problem, blocks: list[Block], rng: random.Random) -> list[Block] | None:
    """Let two stages of equal speeds change hosts."""
    i, j = rng.randrange(len(blocks)), rng.randrange(len(blocks))
    a, b = rng.randrange(len(blocks[i])), rng.randrange(len(blocks[j]))
    one, other = blocks[i][a], blocks[j][b]
    if i == j or one.host == other.host:
        return None
    if problem.kinds[one.kind].rates != problem.kinds[other.kind].rates:
        return None
    changed = list(blocks)
    changed[i] = _with(blocks[i], a, other)
    changed[j] = _with(blocks[j], b, one)
    return changed


def _with(block: Block, position: int, taken: PlacedStage) -> Block:
    stage = replace(block[position], host=taken.host, devices=taken.devices, kind=taken.kind)
    return (*block[:position], stage, *block[position + 1 :])


class _Measure:
    """Sums, over the boundaries between blocks, the flow that each can pass by itself."""

    def __init__(self, problem: Problem, wanted: int) -> None:
        self._problem = problem
        self._wanted = wanted
        self._links: dict[tuple[str, str], int] = {}
        self._known: dict[tuple[Block, Block], int] = {}

    def most(self, blocks: Sequence[Block]) -> int:
        return self._wanted * (len(blocks) + 1)

    def laid_out(self, blocks: Sequence[Block]) -> list[list[PlacedStage]]:
        """Put blocks end to end, with the speeds that stages have there."""
        first, placed = 0, []
        for block in blocks:
            moved = _moved(block, first)
            rates = [self._problem.kinds[s.kind].rates.of(*s.layers) for s in moved]
            placed.append([replace(s, rate=r) for s, r in zip(moved, rates, strict=True)])
            first = max(s.layers[1] for s in moved)
        return placed

    def of(self, blocks: Sequence[Block]) -> int:
        total = self._outer((), blocks[0], blocks) + self._outer(blocks[-1], (), blocks)
        for before, after in zip(blocks, blocks[1:], strict=False):
            key = (before, after)
            if key not in self._known:
                self._known[key] = self._boundary(_ending(before), _starting(after))
            total += self._known[key]
        return total

    def _outer(self, before: Block, after: Block, blocks: Sequence[Block]) -> int:
        """Return what passes at an end of the model, where the block's speeds are others."""
        kinds = self._problem.kinds
        total = self._problem.num_layers
        if before:
            shift = total - max(s.layers[1] for s in before)
            sides = [
                (s.host, kinds[s.kind].rates.of(s.layers[0] + shift, total))
                for s in _ending(before)
            ]
            lowest = min(
                kinds[s.kind].rates.of(s.layers[0] + shift, s.layers[1] + shift) for s in before
            )
            flow = sum(min(rate, self._link(host, COORDINATOR)) for host, rate in sides)
        else:
            sides = [(s.host, kinds[s.kind].rates.of(*s.layers)) for s in _starting(after)]
            lowest = min(kinds[s.kind].rates.of(*s.layers) for s in after)
            flow = sum(min(rate, self._link(COORDINATOR, host)) for host, rate in sides)
        return min(self._wanted, flow) if lowest else -self._wanted

    def _boundary(self, before: Sequence[PlacedStage], after: Sequence[PlacedStage]) -> int:
        out = sum(
            min(a.rate, sum(min(self._link(a.host, b.host), b.rate) for b in after)) for a in before
        )
        into = sum(
            min(b.rate, sum(min(self._link(a.host, b.host), a.rate) for a in before)) for b in after
        )
        return min(self._wanted, out, into)

    def _link(self, source: str, target: str) -> int:
        pair = source, target
        if pair not in self._links:
            spec = self._problem.spec
            self._links[pair] = link_rate(spec.cluster, spec.model, source, target) or 0
        return self._links[pair]


def _ending(block: Block) -> list[PlacedStage]:
    end = max(s.layers[1] for s in block)
    return [s for s in block if s.layers[1] == end]


def _starting(block: Block) -> list[PlacedStage]:
    return [s for s in block if s.layers[0] == 0]
