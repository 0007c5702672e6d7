"""The layered bound: what each host passes at each layer, and what crosses from host to host.

See docs/formulation.md 8.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import pairwise, permutations

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import csr_array

from hexplan.cluster import COORDINATOR
from hexplan.constants import MICRO
from hexplan.cost import fewest_token_bytes, link_rate
from hexplan_solver.bounds.params import BOUND_PARAMS, BoundParams
from hexplan_solver.bounds.work_bound import Work
from hexplan_solver.flow.network import SharedCapacities
from hexplan_solver.problem.problem import Problem

LAYERED_BY = f"HiGHS in scipy {version('scipy')}"
"""The program that solves it: its answer is trusted."""
Terms = Iterable[tuple[int, float]]
"""(column, factor) pairs of one row."""


def layered_bound(problem: Problem, bound: int, params: BoundParams = BOUND_PARAMS) -> int:
    """Lower a bound, in 1e-6 tokens/s, by a linear program over the layers.

    At every layer the hosts together pass F. What one host passes changes from layer to layer only
    by what crosses its links, and each link carries what crosses at all layers together. Over all
    layers, a host does no more work than its devices can if it never passes more than its most,
    which is no more than what entered and came in, or than what left. Layers are taken in blocks,
    by their means: that leaves out no placement, as what crosses within a block counts in part on
    both of its sides.

    Parameters
    ----------
    bound
        A proved bound.
    """
    class_of = {host: c for c in problem.classes for host in c.hosts}
    hosts = [h.name for h in problem.spec.cluster.hosts if h.name in class_of]
    if len(hosts) > params.layered_hosts:
        return bound
    program = _Program(problem, hosts, bound / MICRO, params)
    curves = {
        id(c): _most_work(Work.of(problem.only(c.hosts[:1])), bound, params)
        for c in problem.classes
        if c.hosts
    }
    for position, host in enumerate(hosts):
        program.limit_work(position, curves[id(class_of[host])])
    found = program.largest_flow()
    return min(bound, int(found * (1 + params.margin) * MICRO))


@dataclass(frozen=True, slots=True)
class _WorkLimit:
    """Work is at most `least + slope * most`, in layers times tokens/s."""

    least: float
    slope: float


def _most_work(work: Work, bound: int, params: BoundParams) -> list[_WorkLimit]:
    """Return lines above the work of a host by the most that it passes at a layer.

    Work grows with the flow, and work over flow falls. So between two flows it is at most that of
    the second, and at most in proportion to that of the first. The lines are the upper hull.
    """
    shares = np.geomspace(1 / params.layered_range, 1.0, params.layered_points)
    flows = [1, *(max(2, round(float(share) * bound)) for share in shares)]
    done = [work.at_most(flow) for flow in flows]
    hull: list[tuple[float, float]] = [(0.0, 0.0)]
    for (flow, least), most in zip(zip(flows, done, strict=True), done[1:], strict=False):
        point = flow / MICRO * (most / least) if least else flow / MICRO, most / MICRO
        while len(hull) > 1 and _slope(hull[-2], hull[-1]) <= _slope(hull[-2], point):
            hull.pop()
        if point[0] > hull[-1][0]:
            hull.append(point)
    lines = [_WorkLimit(a[1] - _slope(a, b) * a[0], _slope(a, b)) for a, b in pairwise(hull)]
    return [*lines, _WorkLimit(done[-1] / MICRO, 0.0)]


def _slope(a: tuple[float, float], b: tuple[float, float]) -> float:
    return (b[1] - a[1]) / (b[0] - a[0])


class _Program:
    """The linear program. Its columns: F; p by step and host; the most of each host; what crosses.

    The steps are the entry, the blocks of layers, and the exit.
    """

    def __init__(
        self, problem: Problem, hosts: list[str], most: float, params: BoundParams
    ) -> None:
        self._problem, self._hosts = problem, hosts
        blocks = min(params.layered_blocks, problem.num_layers)
        self._layers_of_block = problem.num_layers / blocks
        self._steps = blocks + 2
        self._links = [
            (a, b, rate)
            for a, b in permutations(range(len(hosts)), 2)
            if (rate := self._rate(hosts[a], hosts[b])) > 0
        ]
        self._first_most = 1 + self._steps * len(hosts)
        self._first_crossing = self._first_most + len(hosts)
        num_columns = self._first_crossing + (self._steps - 1) * len(self._links)
        self._upper = np.full(num_columns, np.inf)
        self._upper[0] = most
        self._equal, self._at_most = _Rows(), _Rows()
        self._pass_all_flow()
        self._limit_links()

    def _rate(self, source: str, target: str) -> float:
        """Return what a link carries, in tokens/s."""
        spec = self._problem.spec
        return (link_rate(spec.cluster, spec.model, source, target) or 0) / MICRO

    def _passed(self, step: int, host: int) -> int:
        return 1 + step * len(self._hosts) + host

    def _crossing(self, step: int, link: int) -> int:
        return self._first_crossing + step * len(self._links) + link

    def _pass_all_flow(self) -> None:
        """At every step all hosts pass F; from step to step they differ by what crosses."""
        hosts = range(len(self._hosts))
        for step in range(self._steps):
            self._equal.add([(0, -1.0), *((self._passed(step, h), 1.0) for h in hosts)], 0.0)
        into, out = defaultdict(list), defaultdict(list)
        for link, (a, b, _) in enumerate(self._links):
            out[a].append(link)
            into[b].append(link)
        for step in range(self._steps - 1):
            for host in hosts:
                ends = ((self._passed(step + 1, host), 1.0), (self._passed(step, host), -1.0))
                came = ((self._crossing(step, link), -1.0) for link in into[host])
                left = ((self._crossing(step, link), 1.0) for link in out[host])
                self._equal.add([*ends, *came, *left], 0.0)
        for host in hosts:
            # At its most, a host passes what came in before, and what leaves after.
            most, last = self._first_most + host, self._steps - 1
            for end, crossed in ((0, into[host]), (last, out[host])):
                crossings = (
                    (self._crossing(step, link), -1.0) for step in range(last) for link in crossed
                )
                self._at_most.add([(most, 1.0), (self._passed(end, host), -1.0), *crossings], 0.0)
        for host, name in enumerate(self._hosts):
            self._upper[self._passed(0, host)] = self._rate(COORDINATOR, name)
            self._upper[self._passed(self._steps - 1, host)] = self._rate(name, COORDINATOR)

    def _limit_links(self) -> None:
        """Every link, network card and trunk carries what crosses at all layers together."""
        spec, shared = self._problem.spec, SharedCapacities(self._problem.spec)
        users: dict[int, list[int]] = defaultdict(list)
        for link, (a, b, rate) in enumerate(self._links):
            self._limit_crossings([link], rate)
            for index in shared.of(self._hosts[a], self._hosts[b]):
                users[index].append(link)
        per_token = fewest_token_bytes(spec.cluster, spec.model)
        for index, links in users.items():
            self._limit_crossings(links, shared.found[index].bytes_per_s / per_token)

    def _limit_crossings(self, links: Sequence[int], most: float) -> None:
        crossings = ((step, link) for step in range(self._steps - 1) for link in links)
        self._at_most.add(((self._crossing(*one), 1.0) for one in crossings), most)

    def limit_work(self, host: int, limits: Iterable[_WorkLimit]) -> None:
        """Let a host do no more work over all layers than lines of its most allow."""
        blocks, most = range(1, self._steps - 1), self._first_most + host
        for step in blocks:
            self._at_most.add([(self._passed(step, host), 1.0), (most, -1.0)], 0.0)
        work = [(self._passed(step, host), self._layers_of_block) for step in blocks]
        for limit in limits:
            self._at_most.add([*work, (most, -limit.slope)], limit.least)

    def largest_flow(self) -> float:
        """Return the largest F, in tokens/s; the highest one allowed if the program has no end."""
        cost = np.zeros(self._upper.size)
        cost[0] = -1.0
        bounds = [(0.0, float(most)) for most in self._upper]
        solution = linprog(  # type: ignore[call-overload]  # its stub knows no sparse matrices
            cost,
            A_ub=self._at_most.matrix(self._upper.size),
            b_ub=self._at_most.right,
            A_eq=self._equal.matrix(self._upper.size),
            b_eq=self._equal.right,
            bounds=bounds,
            method="highs",
        )
        return float(-solution.fun) if solution.status == 0 else float(self._upper[0])


class _Rows:
    """Rows of a sparse matrix, and their right-hand sides."""

    def __init__(self) -> None:
        self.right: list[float] = []
        self._rows: list[int] = []
        self._columns: list[int] = []
        self._factors: list[float] = []

    def add(self, terms: Terms, right: float) -> None:
        """Add a row."""
        for column, factor in terms:
            self._rows.append(len(self.right))
            self._columns.append(column)
            self._factors.append(factor)
        self.right.append(right)

    def matrix(self, num_columns: int) -> csr_array:
        """Return the matrix."""
        cells = (np.array(self._factors), (self._rows, self._columns))
        return csr_array(cells, shape=(len(self.right), num_columns))
