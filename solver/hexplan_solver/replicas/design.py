"""A design: a replica on hosts of some classes, with the layers of its stages."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise, permutations

from hexplan.constants import MICRO
from hexplan.field_types import Range
from hexplan_solver.problem.problem import Problem
from hexplan_solver.replicas.crossing import narrowest
from hexplan_solver.replicas.parts import HostPart, host_of

MOST_ORDERED_SITES = 3
"""With more sites, the parts of a replica keep their order."""


@dataclass(frozen=True, slots=True)
class Seat:
    """One stage of a design."""

    part: int
    """Position in `Design.parts`."""
    kind: int
    """Position in `Problem.kinds`."""


@dataclass(frozen=True, slots=True)
class Design:
    """A replica on hosts of some classes: which they are is left open."""

    parts: tuple[HostPart, ...]
    """One for each host."""
    seats: tuple[Seat, ...]
    """Its stages, in the order of their layers."""
    layers: tuple[Range, ...]
    """The layers of each stage."""
    rate: int
    """What it passes alone, in 1e-6 tokens/s."""

    @property
    def tokens_per_s(self) -> float:
        """What it passes alone."""
        return self.rate / MICRO


def designed(
    problem: Problem, parts: Sequence[HostPart], main: HostPart | None = None
) -> Design | None:
    """Return the fastest design of some parts; None if it cannot hold the model.

    Parameters
    ----------
    main
        The part with the last stage, between whose stages the others lie.
    """
    best: Design | None = None
    for order, seats in _orders(problem, parts, main):
        found = _with_layers(problem, order, seats)
        if found is not None and (best is None or found.rate > best.rate):
            best = found
    return best


def _orders(
    problem: Problem, parts: Sequence[HostPart], main: HostPart | None
) -> Iterator[tuple[tuple[HostPart, ...], tuple[Seat, ...]]]:
    """Yield orders of the parts: site after site, the fastest parts first or last."""
    if main is not None:
        for order in _in_turn(problem, parts):
            yield (*order, main), _around(order, main)
        return
    for order in _in_turn(problem, parts):
        yield order, tuple(Seat(i, kind) for i, part in enumerate(order) for kind in part.kinds)


def _in_turn(problem: Problem, parts: Sequence[HostPart]) -> Iterator[tuple[HostPart, ...]]:
    def speed(part: HostPart) -> int:
        return problem.kinds[part.kinds[0]].rates.fastest

    by_site: dict[str, list[HostPart]] = {}
    for part in parts:
        by_site.setdefault(host_of(problem, part.host_class).site, []).append(part)
    sites = list(by_site)
    orders = list(permutations(sites)) if len(sites) <= MOST_ORDERED_SITES else [tuple(sites)]
    for order in orders:
        for is_falling in (True, False):
            yield tuple(
                part
                for site in order
                for part in sorted(by_site[site], key=speed, reverse=is_falling)
            )
        if not parts:
            return


def _around(others: Sequence[HostPart], main: HostPart) -> tuple[Seat, ...]:
    """Put a stage of the main part behind each other part, and the rest of them last."""
    own = [Seat(len(others), kind) for kind in main.kinds]
    seats: list[Seat] = []
    for i, part in enumerate(others):
        seats += [Seat(i, kind) for kind in part.kinds]
        seats.append(own[i])
    return (*seats, *own[len(others) :])


def _with_layers(
    problem: Problem, parts: tuple[HostPart, ...], seats: tuple[Seat, ...]
) -> Design | None:
    """Give each stage the layers with which the slowest is fastest, as far as links allow."""
    held = split_layers(problem, [seat.kind for seat in seats])
    if held is None:
        return None
    layers = tuple(pairwise(accumulate(held, initial=0)))
    speeds = (
        problem.kinds[seat.kind].rates.of(*range_)
        for seat, range_ in zip(seats, layers, strict=True)
    )
    rate = min(*speeds, narrowest(problem, typical_hosts(problem, parts, seats)))
    return Design(parts, seats, layers, rate) if rate else None


def split_layers(problem: Problem, kinds: Sequence[int]) -> list[int] | None:
    """Return the layers of each stage of a chain, so that the slowest is as fast as can be.

    Each layer goes to the stage that is fastest with it. As speeds fall with the layers held, no
    other split has a faster slowest stage. None is returned if the stages cannot hold the model.
    """
    total, size = problem.num_layers, len(kinds)
    if size > total:
        return None
    rates = [
        problem.kinds[kind].rates.by_layers[i == 0][i == size - 1] for i, kind in enumerate(kinds)
    ]
    if size == 1:
        return [total] if rates[0][total] else None
    held = [1] * size
    if not all(row[1] for row in rates):
        return None
    waiting = [(-row[2] if total >= 2 else 0, i) for i, row in enumerate(rates)]
    heapq.heapify(waiting)
    for _ in range(total - size):
        speed, i = heapq.heappop(waiting)
        if speed == 0:
            return None
        held[i] += 1
        heapq.heappush(waiting, (-rates[i][held[i] + 1] if held[i] < total else 0, i))
    return held


def typical_hosts(problem: Problem, parts: Sequence[HostPart], seats: Sequence[Seat]) -> list[str]:
    """Return a host for each stage, as if hosts of one class were linked alike."""
    chosen: list[str] = []
    for part in parts:
        hosts = problem.classes[part.host_class].hosts
        chosen.append(next((host for host in hosts if host not in chosen), hosts[0]))
    return [chosen[seat.part] for seat in seats]
