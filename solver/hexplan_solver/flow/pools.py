"""The largest flow of many stages, where links join whole sites: an LP over pools.

What leaves the stages of a site at one layer goes into a pool for each site that it may reach, and
the stages there that hold the layer draw from it. So the LP has a variable for each stage and
layer, and one for each two sites and layer, in place of one for each two stages. It ignores what
two hosts by themselves may exchange, and their network cards: whoever puts the flow on the network
finds out whether they carry it.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.sparse import coo_array

from hexplan.cluster import COORDINATOR, Cluster
from hexplan.constants import MICRO
from hexplan.cost import token_bytes
from hexplan_solver.flow.network import Network, stage_name

Entries = tuple[list[float], tuple[list[int], list[int]]]


@dataclass(frozen=True, slots=True)
class Draw:
    """What one stage takes in at one layer; at layer 0 from the entry."""

    stage: int
    layer: int


@dataclass(frozen=True, slots=True)
class Crossing:
    """What passes from the stages of one site that end at a layer into the pool of another."""

    source: str
    target: str
    layer: int


@dataclass(frozen=True, slots=True)
class PooledFlow:
    """The solution: amounts in tokens/s, and prices."""

    value: float
    draws: dict[Draw, float]
    crossings: dict[Crossing, float]
    stage_prices: list[float]
    """How much flow one more token/s of a stage would bring."""
    trunk_prices: dict[str, float]
    """How much flow one more byte/s of a trunk would bring."""


@dataclass(frozen=True, slots=True)
class Trunk:
    """A line that all hosts of two sites share."""

    name: str
    bytes_per_s: int
    token_bytes: int


@dataclass(slots=True)
class _Rows:
    """Rows of a sparse matrix, as they come."""

    values: list[float] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    columns: list[int] = field(default_factory=list)

    def add(self, row: int, column: int, value: float) -> None:
        self.values.append(value)
        self.rows.append(row)
        self.columns.append(column)

    def matrix(self, num_rows: int, num_columns: int) -> coo_array:
        entries: Entries = (self.values, (self.rows, self.columns))
        return coo_array(entries, shape=(num_rows, num_columns))


class Pools:
    """The pools of a placement."""

    def __init__(self, network: Network) -> None:
        self._cluster, self._model = network.spec.cluster, network.spec.model
        self._stages = network.stages
        self._site = [self._cluster.site_of(stage.host) for stage in network.stages]
        self.ending: dict[tuple[str, int], list[int]] = defaultdict(list)
        """Stages by the site and the layer where they end."""
        for i, stage in enumerate(network.stages):
            self.ending[self._site[i], stage.layers[1]].append(i)
        self._known_trunks: dict[tuple[str, str], Trunk | None] = {}
        self._hosts = {self._cluster.site_of(h.name): h.name for h in self._cluster.hosts}
        self._layers = sorted({0, *(layer for _, layer in self.ending)} - {self._model.layers})
        self.draws = list(self._draws())
        self.crossings = list(self._crossings())
        self._crossings_at: dict[int, list[Crossing]] = defaultdict(list)
        for crossing in self.crossings:
            self._crossings_at[crossing.layer].append(crossing)

    def solve(self) -> PooledFlow:
        """Return the largest flow that the pools allow."""
        items: list[Draw | Crossing] = [*self.draws, *self.crossings]
        column = {item: n for n, item in enumerate(items)}
        if not any(draw.layer == 0 for draw in self.draws):
            nothing = dict.fromkeys((trunk.name for trunk in self.trunks), 0.0)
            return PooledFlow(0.0, {}, {}, [0.0] * len(self._stages), nothing)
        num_columns = len(column)
        limits, capacities = self._limits(column)
        num_balances, balances = self._balances(column)
        gain = np.zeros(num_columns)
        gain[[n for n, draw in enumerate(self.draws) if draw.layer == 0]] = -1.0
        found = linprog(  # type: ignore[call-overload]  # scipy takes sparse matrices, its stubs do not
            gain,
            A_ub=limits.matrix(len(capacities), num_columns),
            b_ub=capacities,
            A_eq=balances.matrix(max(num_balances, 1), num_columns),
            b_eq=np.zeros(max(num_balances, 1)),
            method="highs",
        )
        amounts: list[float] = found.x.tolist()
        prices: NDArray[np.float64] = -found.ineqlin.marginals
        num_stages = len(self._stages)
        trunks = zip(self.trunks, prices[num_stages:], strict=True)
        return PooledFlow(
            -float(found.fun),
            {draw: amounts[column[draw]] for draw in self.draws},
            {crossing: amounts[column[crossing]] for crossing in self.crossings},
            prices[:num_stages].tolist(),
            {trunk.name: float(price) * MICRO / trunk.bytes_per_s for trunk, price in trunks},
        )

    def cheapest_route(self, prices: Mapping[str, float]) -> float:
        """Return what the cheapest route pays for a token, by the pools."""
        paid = [math.inf] * len(self._stages)
        drawn: dict[int, list[int]] = defaultdict(list)
        for draw in self.draws:
            drawn[draw.layer].append(draw.stage)
        for layer in self._layers:
            pools = self._pool_prices(layer, paid, prices)
            for i in drawn[layer]:
                paid[i] = min(paid[i], pools[self._site[i]] + prices[f"stage:{stage_name(i)}"])
        total = self._model.layers
        tolls = {site: self._toll(site, COORDINATOR, prices) for site in self._hosts}
        last = (i for i, stage in enumerate(self._stages) if stage.layers[1] == total)
        return min(paid[i] + tolls[self._site[i]] for i in last)

    def _pool_prices(
        self, layer: int, paid: Sequence[float], prices: Mapping[str, float]
    ) -> dict[str, float]:
        """Return what a token has paid at least when it comes to the pool of each site."""
        if layer == 0:
            return {site: self._toll(COORDINATOR, site, prices) for site in self._hosts}
        found = dict.fromkeys(self._hosts, math.inf)
        for crossing in self._crossings_at[layer]:
            least = min(paid[i] for i in self.ending[crossing.source, layer])
            toll = self._toll(crossing.source, crossing.target, prices)
            found[crossing.target] = min(found[crossing.target], least + toll)
        return found

    def _toll(self, source: str, target: str, prices: Mapping[str, float]) -> float:
        trunk = self._trunk_of(source, target)
        return prices.get(trunk.name, 0.0) * trunk.token_bytes if trunk is not None else 0.0

    def _draws(self) -> Iterator[Draw]:
        for i, stage in enumerate(self._stages):
            first, end = stage.layers
            if end == self._model.layers and not self._reaches(self._site[i], COORDINATOR):
                continue  # no token ever leaves it
            if first == 0 and self._reaches(COORDINATOR, self._site[i]):
                yield Draw(i, 0)
            yield from (Draw(i, layer) for layer in self._layers if max(first, 1) <= layer < end)

    def _crossings(self) -> Iterator[Crossing]:
        drawn = {(self._site[draw.stage], draw.layer) for draw in self.draws}
        sites = sorted(self._hosts)
        for source, layer in sorted(self.ending):
            for target in sites:
                if (target, layer) in drawn and self._reaches(source, target):
                    yield Crossing(source, target, layer)

    def _reaches(self, source: str, target: str) -> bool:
        ends = self._end(source), self._end(target)
        return source == target or self._cluster.link(*ends) is not None

    def _end(self, place: str) -> str:
        return place if place == COORDINATOR else self._hosts[place]

    @cached_property
    def trunks(self) -> list[Trunk]:
        """Every trunk that something may pass, by name."""
        passed = {(crossing.source, crossing.target) for crossing in self.crossings}
        passed |= {(COORDINATOR, self._site[d.stage]) for d in self.draws if d.layer == 0}
        passed |= {(site, COORDINATOR) for site in self._hosts}
        found = {t.name: t for pair in sorted(passed) if (t := self._trunk_of(*pair)) is not None}
        return [found[name] for name in sorted(found)]

    def _trunk_of(self, source: str, target: str) -> Trunk | None:
        pair = source, target
        if pair not in self._known_trunks:
            self._known_trunks[pair] = self._find_trunk(*pair)
        return self._known_trunks[pair]

    def _find_trunk(self, source: str, target: str) -> Trunk | None:
        if source == target:
            return None
        ends = self._end(source), self._end(target)
        link = self._cluster.link(*ends)
        rule = self._cluster.over(link) if link is not None else None
        if rule is None or rule.trunk_bytes_per_s is None:
            return None
        name = f"trunk:{rule.source}>{rule.target}"
        return Trunk(name, rule.trunk_bytes_per_s, token_bytes(self._model, *ends))

    def _limits(self, column: dict[Draw | Crossing, int]) -> tuple[_Rows, list[float]]:
        """Return the rows of stages, then of trunks, the latter as shares of a million."""
        rows, num_stages = _Rows(), len(self._stages)
        trunks = self.trunks
        row_of = {trunk.name: num_stages + n for n, trunk in enumerate(trunks)}
        capacity = {trunk.name: trunk.bytes_per_s / MICRO for trunk in trunks}

        def charge(source: str, target: str, item: Draw | Crossing) -> None:
            trunk = self._trunk_of(source, target)
            if trunk is not None:
                share = trunk.token_bytes / capacity[trunk.name]
                rows.add(row_of[trunk.name], column[item], share)

        for draw in self.draws:
            stage, site = self._stages[draw.stage], self._site[draw.stage]
            rows.add(draw.stage, column[draw], 1.0)
            if draw.layer == 0:
                charge(COORDINATOR, site, draw)
            if stage.layers[1] == self._model.layers:
                charge(site, COORDINATOR, draw)
        for crossing in self.crossings:
            charge(crossing.source, crossing.target, crossing)
        limits = [stage.rate / MICRO for stage in self._stages]
        return rows, [*limits, *(float(MICRO) for _ in trunks)]

    def _balances(self, column: dict[Draw | Crossing, int]) -> tuple[int, _Rows]:
        """Return a row for each pool, and one for what leaves each site at each layer."""
        rows = _Rows()
        number: dict[tuple[str, str, int], int] = {}

        def add(kind: str, site: str, layer: int, item: Draw | Crossing, value: float) -> None:
            row = number.setdefault((kind, site, layer), len(number))
            rows.add(row, column[item], value)

        for draw in self.draws:
            site, end = self._site[draw.stage], self._stages[draw.stage].layers[1]
            if draw.layer:
                add("pool", site, draw.layer, draw, 1.0)
            if end < self._model.layers:
                add("leaving", site, end, draw, 1.0)
        for crossing in self.crossings:
            add("pool", crossing.target, crossing.layer, crossing, -1.0)
            add("leaving", crossing.source, crossing.layer, crossing, -1.0)
        return len(number), rows


def has_site_links(cluster: Cluster) -> bool:
    """Say whether all link rules are for whole sites, so that hosts of a site are alike to them."""
    named: Sequence[str] = [end for link in cluster.links for end in (link.source, link.target)]
    return not any(end in cluster.host_by_name for end in named)
