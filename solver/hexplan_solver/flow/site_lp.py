"""The largest flow of many stages, by an LP that adds up all flow from one site to another.

It serves where every link rule joins whole sites. For each layer it has a variable for what each
stage takes in there, and one for what each site sends to each other site: the number of variables
grows with the number of stages, not with that of pairs of stages. The LP ignores the links of
single pairs of hosts and their network cards. `site_flow` then puts the flow on the network, and
finds out whether they carry it.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.sparse import coo_array

from hexplan.cluster import COORDINATOR, Cluster
from hexplan.constants import MICRO
from hexplan.cost import token_bytes
from hexplan_solver.flow.network import Network, stage_name

Entries = tuple[list[float], tuple[list[int], list[int]]]
"""Values, rows and columns of a sparse matrix, as scipy takes them."""


class SiteLayer(NamedTuple):
    """A site and a layer at which flow arrives there or leaves."""

    site: str
    layer: int


@dataclass(frozen=True, slots=True)
class StageInflow:
    """What one stage takes in at one layer; at layer 0 it comes from the entry."""

    stage: int
    layer: int


@dataclass(frozen=True, slots=True)
class SiteTransfer:
    """What the stages of one site that end at a layer send to a site, its own or another."""

    source: str
    target: str
    layer: int


@dataclass(frozen=True, slots=True)
class SiteLpSolution:
    """A largest flow: amounts in tokens/s, and prices."""

    value: float
    inflows: dict[StageInflow, float]
    transfers: dict[SiteTransfer, float]
    stage_prices: list[float]
    """How much flow one more token/s of a stage would bring."""
    trunk_prices: dict[str, float]
    """How much flow one more byte/s of a trunk would bring."""


@dataclass(frozen=True, slots=True)
class Trunk:
    """What all hosts of two sites share."""

    name: str
    bytes_per_s: int
    token_bytes: int


@dataclass(slots=True)
class _Rows:
    """The entries of a sparse matrix, in any order."""

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


class SiteLp:
    """The LP of a placement."""

    def __init__(self, network: Network) -> None:
        self._cluster, self._model = network.spec.cluster, network.spec.model
        self._stages = network.stages
        self._site = [self._cluster.site_of(stage.host) for stage in network.stages]
        self.stages_ending: dict[SiteLayer, list[int]] = defaultdict(list)
        """Positions of the stages by their site and the layer where they end."""
        for i, stage in enumerate(network.stages):
            self.stages_ending[SiteLayer(self._site[i], stage.layers[1])].append(i)
        self._known_trunks: dict[tuple[str, str], Trunk | None] = {}
        self._hosts = {self._cluster.site_of(h.name): h.name for h in self._cluster.hosts}
        ends = {layer for _, layer in self.stages_ending}
        self._layers = sorted({0, *ends} - {self._model.layers})
        self.inflows = list(self._inflows())
        self.transfers = list(self._transfers())
        self._transfers_at: dict[int, list[SiteTransfer]] = defaultdict(list)
        for transfer in self.transfers:
            self._transfers_at[transfer.layer].append(transfer)

    def solve(self) -> SiteLpSolution:
        """Return a largest flow."""
        items: list[StageInflow | SiteTransfer] = [*self.inflows, *self.transfers]
        column = {item: n for n, item in enumerate(items)}
        if not any(inflow.layer == 0 for inflow in self.inflows):
            nothing = dict.fromkeys((trunk.name for trunk in self.trunks), 0.0)
            return SiteLpSolution(0.0, {}, {}, [0.0] * len(self._stages), nothing)
        num_columns = len(column)
        limits, capacities = self._limits(column)
        num_balances, balances = self._balances(column)
        gain = np.zeros(num_columns)
        gain[[n for n, inflow in enumerate(self.inflows) if inflow.layer == 0]] = -1.0
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
        return SiteLpSolution(
            -float(found.fun),
            {inflow: amounts[column[inflow]] for inflow in self.inflows},
            {transfer: amounts[column[transfer]] for transfer in self.transfers},
            prices[:num_stages].tolist(),
            {trunk.name: float(price) * MICRO / trunk.bytes_per_s for trunk, price in trunks},
        )

    def cheapest_route(self, prices: Mapping[str, float]) -> float:
        """Return the least that a route pays for a token, as if all hosts of a site were one."""
        paid = [math.inf] * len(self._stages)
        taking_in: dict[int, list[int]] = defaultdict(list)
        for inflow in self.inflows:
            taking_in[inflow.layer].append(inflow.stage)
        for layer in self._layers:
            arriving = self._arrival_prices(layer, paid, prices)
            for i in taking_in[layer]:
                pays = arriving[self._site[i]] + prices[f"stage:{stage_name(i)}"]
                paid[i] = min(paid[i], pays)
        total = self._model.layers
        tolls = {site: self._toll(site, COORDINATOR, prices) for site in self._hosts}
        last = (i for i, stage in enumerate(self._stages) if stage.layers[1] == total)
        return min(paid[i] + tolls[self._site[i]] for i in last)

    def _arrival_prices(
        self, layer: int, paid: Sequence[float], prices: Mapping[str, float]
    ) -> dict[str, float]:
        """Return the least that a token has paid when it arrives at each site for a layer."""
        if layer == 0:
            return {site: self._toll(COORDINATOR, site, prices) for site in self._hosts}
        found = dict.fromkeys(self._hosts, math.inf)
        for transfer in self._transfers_at[layer]:
            least = min(paid[i] for i in self.stages_ending[SiteLayer(transfer.source, layer)])
            toll = self._toll(transfer.source, transfer.target, prices)
            found[transfer.target] = min(found[transfer.target], least + toll)
        return found

    def _toll(self, source: str, target: str, prices: Mapping[str, float]) -> float:
        trunk = self._trunk_of(source, target)
        return prices.get(trunk.name, 0.0) * trunk.token_bytes if trunk is not None else 0.0

    def _inflows(self) -> Iterator[StageInflow]:
        for i, stage in enumerate(self._stages):
            first, end = stage.layers
            if end == self._model.layers and not self._reaches(self._site[i], COORDINATOR):
                continue  # no token ever leaves it
            if first == 0 and self._reaches(COORDINATOR, self._site[i]):
                yield StageInflow(i, 0)
            later = (layer for layer in self._layers if max(first, 1) <= layer < end)
            yield from (StageInflow(i, layer) for layer in later)

    def _transfers(self) -> Iterator[SiteTransfer]:
        taking_in = {(self._site[inflow.stage], inflow.layer) for inflow in self.inflows}
        sites = sorted(self._hosts)
        for source, layer in sorted(self.stages_ending):
            for target in sites:
                if (target, layer) in taking_in and self._reaches(source, target):
                    yield SiteTransfer(source, target, layer)

    def _reaches(self, source: str, target: str) -> bool:
        ends = self._end(source), self._end(target)
        return source == target or self._cluster.link(*ends) is not None

    def _end(self, place: str) -> str:
        return place if place == COORDINATOR else self._hosts[place]

    @cached_property
    def trunks(self) -> list[Trunk]:
        """Every trunk that some flow may pass, sorted by name."""
        passed = {(transfer.source, transfer.target) for transfer in self.transfers}
        passed |= {(COORDINATOR, self._site[i.stage]) for i in self.inflows if i.layer == 0}
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
        return Trunk(name, rule.trunk_bytes_per_s, token_bytes(self._cluster, self._model, *ends))

    def _limits(self, column: dict[StageInflow | SiteTransfer, int]) -> tuple[_Rows, list[float]]:
        """Return the rows of stages, then those of trunks, and what bounds each.

        Trunks count in millionths of what they carry, so that all rows are of one scale.
        """
        rows, num_stages = _Rows(), len(self._stages)
        trunks = self.trunks
        row_of = {trunk.name: num_stages + n for n, trunk in enumerate(trunks)}
        capacity = {trunk.name: trunk.bytes_per_s / MICRO for trunk in trunks}

        def charge(source: str, target: str, item: StageInflow | SiteTransfer) -> None:
            trunk = self._trunk_of(source, target)
            if trunk is not None:
                share = trunk.token_bytes / capacity[trunk.name]
                rows.add(row_of[trunk.name], column[item], share)

        for inflow in self.inflows:
            stage, site = self._stages[inflow.stage], self._site[inflow.stage]
            rows.add(inflow.stage, column[inflow], 1.0)
            if inflow.layer == 0:
                charge(COORDINATOR, site, inflow)
            if stage.layers[1] == self._model.layers:
                charge(site, COORDINATOR, inflow)
        for transfer in self.transfers:
            charge(transfer.source, transfer.target, transfer)
        limits = [stage.rate / MICRO for stage in self._stages]
        return rows, [*limits, *(float(MICRO) for _ in trunks)]

    def _balances(self, column: dict[StageInflow | SiteTransfer, int]) -> tuple[int, _Rows]:
        """Return the conservation of flow at each site and layer, as rows that are 0.

        What arrives is what the stages there take in; what the stages send is what leaves.
        """
        rows = _Rows()
        number: dict[tuple[str, SiteLayer], int] = {}

        def add(
            kind: str, place: SiteLayer, item: StageInflow | SiteTransfer, value: float
        ) -> None:
            row = number.setdefault((kind, place), len(number))
            rows.add(row, column[item], value)

        for inflow in self.inflows:
            site, end = self._site[inflow.stage], self._stages[inflow.stage].layers[1]
            if inflow.layer:
                add("arriving", SiteLayer(site, inflow.layer), inflow, 1.0)
            if end < self._model.layers:
                add("leaving", SiteLayer(site, end), inflow, 1.0)
        for transfer in self.transfers:
            add("arriving", SiteLayer(transfer.target, transfer.layer), transfer, -1.0)
            add("leaving", SiteLayer(transfer.source, transfer.layer), transfer, -1.0)
        return len(number), rows


def joins_whole_sites(cluster: Cluster) -> bool:
    """Say whether every link rule joins whole sites, so that it treats their hosts alike."""
    named: Sequence[str] = [end for link in cluster.links for end in (link.source, link.target)]
    return not any(end in cluster.host_by_name for end in named)
