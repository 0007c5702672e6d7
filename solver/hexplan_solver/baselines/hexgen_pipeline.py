"""HexGen's inner search: degrees and layers of one pipeline, given its devices."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from hexplan.spec import Spec
from hexplan_solver.baselines.hexgen_cost import (
    HexgenRequest,
    Speeds,
    Wire,
    compute_s,
    group_comm_s,
    hop_s,
    memory_bytes,
)
from hexplan_solver.baselines.params import HEXGEN_PARAMS
from hexplan_solver.baselines.stocks import Stock
from hexplan_solver.baselines.waterfill import water_fill
from hexplan_solver.budget import GoesOn, always

Devices = tuple[int, ...]
"""How many devices of each stock."""


@dataclass(frozen=True, slots=True)
class Part:
    """One stage of a pipeline."""

    stock: int
    degree: int
    layers: int


@dataclass(frozen=True, slots=True)
class HexgenPipeline:
    """A replica of the model, and the time of one request on it."""

    parts: tuple[Part, ...]
    latency_s: float


@lru_cache(maxsize=256)
def splits(
    count: int,
    largest: int = HEXGEN_PARAMS.degrees[0],
    parts: int = HEXGEN_PARAMS.max_parts,
) -> tuple[Devices, ...]:
    """List the ways to cut like devices of one machine into groups, largest first.

    Parameters
    ----------
    largest
        Most devices of a group.
    parts
        Most groups.
    """
    if count == 0:
        return ((),)
    if parts == 0:
        return ()
    return tuple(
        (degree, *rest)
        for degree in HEXGEN_PARAMS.degrees
        if degree <= min(count, largest)
        for rest in splits(count - degree, degree, parts - 1)
    )


class PipelinePlanner:
    """Plans the best pipeline on some devices of a spec's stocks, and remembers it."""

    def __init__(self, spec: Spec, stocks: list[Stock], goes_on: GoesOn = always) -> None:
        self.stocks, self._goes_on = stocks, goes_on
        self._spec = spec
        workload = spec.workload
        self._request = HexgenRequest(
            spec.model.hidden,
            spec.model.dtype_bytes,
            workload.prompt_tokens.mean,
            workload.output_tokens.mean,
        )
        self._layer_s = {
            (i, degree): self._layer(stock, degree)
            for i, stock in enumerate(stocks)
            for degree in stock.degrees
        }
        self._known: dict[Devices, HexgenPipeline | None] = {}

    def plan(self, devices: Devices) -> HexgenPipeline | None:
        """Return the pipeline of least latency on some devices, or None if none fits."""
        if devices not in self._known:
            self._known[devices] = self._best(devices)
        return self._known[devices]

    def _best(self, devices: Devices) -> HexgenPipeline | None:
        """Choose the groups by dynamic programming over stocks, for each number of stages.

        With layers in proportion to speed, all stages take equally long. Then a pipeline of S
        stages takes S L / (sum of speeds), so for each S the largest sum of speeds is best.
        """
        by_stages: dict[int, tuple[int, tuple[tuple[int, int], ...]]] = {0: (0, ())}
        for stock, count in enumerate(devices):
            if not self._goes_on():
                return None
            after: dict[int, tuple[int, tuple[tuple[int, int], ...]]] = {}
            for stages, (speed, groups) in by_stages.items():
                for way in splits(count):
                    if any((stock, degree) not in self._layer_s for degree in way):
                        continue
                    more = sum(
                        round(HEXGEN_PARAMS.resolution / self._layer_s[stock, d]) for d in way
                    )
                    size = stages + len(way)
                    if size not in after or speed + more > after[size][0]:
                        added = tuple((stock, degree) for degree in way)
                        after[size] = speed + more, groups + added
            by_stages = after
        planned = (self._pipeline(groups) for _, groups in by_stages.values())
        return min((p for p in planned if p), key=lambda p: p.latency_s, default=None)

    def _pipeline(self, groups: tuple[tuple[int, int], ...]) -> HexgenPipeline | None:
        total = self._spec.model.layers
        powers = [
            Fraction(round(HEXGEN_PARAMS.resolution / self._layer_s[group])) for group in groups
        ]
        counts = water_fill(total, powers, [self._room(*group) for group in groups])
        hops_s = self._hops_s([stock for stock, _ in groups])
        if counts is None or hops_s is None:
            return None
        held = zip(groups, counts, strict=True)
        parts = tuple(Part(stock, degree, count) for (stock, degree), count in held if count)
        latency_s = sum(self._layer_s[p.stock, p.degree] * p.layers for p in parts) + hops_s
        return HexgenPipeline(parts, latency_s)

    def _layer(self, stock: Stock, degree: int) -> float:
        """Return the seconds of one layer for one request on one group."""
        device = self._spec.cluster.device_type_by_name[stock.device_type]
        speeds = Speeds(device.memory_bandwidth_bytes_per_s, device.compute_flops_per_s)
        wire = stock.host.interconnect
        comm_s = 0.0
        if degree > 1 and wire is not None:
            joined = Wire(float(wire.latency_s), wire.bandwidth_bytes_per_s)
            comm_s = group_comm_s(self._request, joined, degree)
        return compute_s(self._request, speeds, degree) + comm_s

    def _room(self, stock: int, degree: int) -> int:
        """Return the most layers that fit on a group by HexGen's formula and by hexplan's."""
        device = self._spec.cluster.device_type_by_name[self.stocks[stock].device_type]
        most = self.stocks[stock].max_layers(degree)
        while most and memory_bytes(self._request, most, degree) > device.memory_bytes:
            most -= 1
        return most

    def _hops_s(self, stocks: list[int]) -> float | None:
        """Return the time of all hops between machines, or None if no link joins two in a row."""
        hosts = [self.stocks[stock].host.name for stock in stocks]
        total_s = 0.0
        for one, other in zip(hosts, hosts[1:], strict=False):
            if one != other:
                link = self._spec.cluster.link(one, other)
                if link is None:
                    return None
                wire = Wire(float(link.latency_s), link.bandwidth_bytes_per_s)
                total_s += hop_s(self._request, wire)
        return total_s
