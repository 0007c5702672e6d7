"""The zone bound, recomputed from its prices and boxes (docs/formulation.md 8)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

from hexplan.bound_proof import ZoneProof
from hexplan.check.bound import rules
from hexplan.check.bound.crossing import misplaced_sites, within
from hexplan.check.bound.exchange import Exchange
from hexplan.check.bound.pattern import ReadPrices, read_prices
from hexplan.check.bound.supply import ShapeSupply
from hexplan.check.bound.work import work_bound
from hexplan.check.bound.zone_boxes import ZoneBoxes
from hexplan.check.bound.zone_supply import ZoneSupply
from hexplan.check.exact import exact
from hexplan.check.lookup import Lookup
from hexplan.check.rule import Violation
from hexplan.check.text import rate
from hexplan.constants import CROSSING_HOSTS, MICRO, ZONE_BOXES


def zone_violations(
    lookup: Lookup, supply: Sequence[ShapeSupply], proof: ZoneProof
) -> Iterator[Violation]:
    """Yield sites and prices that are misplaced, or a bound that the boxes do not prove."""
    case = _Case(lookup, tuple(supply), proof)
    misplaced = [*misplaced_sites(lookup, proof.zones), *case.misplaced_prices()]
    yield from misplaced
    if misplaced:
        return
    reason = case.why_not()
    if reason:
        yield rules.BOUND_NOT_PROVED.at("certificate, proof", reason)


@dataclass(frozen=True)
class _Case:
    """A zone proof, with what it is about."""

    lookup: Lookup
    supply: tuple[ShapeSupply, ...]
    proof: ZoneProof

    @cached_property
    def target(self) -> int:
        """The bound, in 1e-6 tokens/s: a flow that has to be impossible."""
        return int(exact(self.lookup.plan.certificate.bound_tokens_per_s) * MICRO)

    @cached_property
    def inside(self) -> tuple[tuple[ShapeSupply, ...], ...]:
        """For each zone, the hosts within it."""
        return tuple(
            tuple(
                kept
                for each in self.supply
                if (kept := within(self.lookup, each, frozenset(zone))).hosts
            )
            for zone in self.proof.zones
        )

    @cached_property
    def read(self) -> tuple[tuple[ReadPrices, ...], ...]:
        """Each list of prices, by zones."""
        homes = [{name for each in zone for name in each.hosts} for zone in self.inside]
        return tuple(
            tuple(
                read_prices(zone, tuple(price for price in listed if price.host in home))
                for zone, home in zip(self.inside, homes, strict=True)
            )
            for listed in self.proof.prices
        )

    def misplaced_prices(self) -> Iterator[Violation]:
        """Yield prices for hosts in no zone, for groups that no host can form, or given twice."""
        zoned = {name for zone in self.inside for each in zone for name in each.hosts}
        for price in chain.from_iterable(self.proof.prices):
            if price.host not in zoned:
                message = f"host {price.host} is in no zone"
                yield rules.PROOF_MISPLACED.at("certificate, prices", message)
        for by_zone in self.read:
            for read in by_zone:
                yield from read.violations

    def why_not(self) -> str:
        """Say why the bound is not proved; an empty text if it is."""
        lookup, proof = self.lookup, self.proof
        if len(lookup.hosts) > CROSSING_HOSTS or len(proof.boxes) > ZONE_BOXES:
            return (
                f"{len(lookup.hosts)} hosts and {len(proof.boxes)} boxes, needed at most"
                f" {CROSSING_HOSTS} and {ZONE_BOXES}"
            )
        if not proof.zones or len(proof.most_tokens_per_s) != len(proof.zones) or not self.target:
            return "needed zones, a limit for each of them, and a bound above 0"
        most = tuple(int(exact(limit) * MICRO) for limit in proof.most_tokens_per_s)
        reason = self._why_no_box(most)
        if reason:
            return reason
        exchange = Exchange.of(lookup)
        zones = tuple(
            ZoneSupply(hosts, max(exchange.inward(sites), exchange.outward(sites)))
            for hosts, sites in zip(self.inside, map(frozenset, proof.zones), strict=True)
        )
        prices = tuple(tuple(read.prices for read in by_zone) for by_zone in self.read)
        boxes = ZoneBoxes(zones, prices, self.target, lookup.plan.model.layers)
        return boxes.why_not(tuple((0, limit) for limit in most), proof.boxes)

    def _why_no_box(self, most: Sequence[int]) -> str:
        """Say why the least flows of all zones may lie outside the first box."""
        zoned = {name for zone in self.inside for each in zone for name in each.hosts}
        for each in self.supply:
            if any(map(any, each.curves.values())):
                for name in each.hosts:
                    if name not in zoned:
                        return f"host {name} is in no zone"
        for index, (hosts, limit) in enumerate(zip(self.inside, most, strict=True)):
            alone = min(self.target, work_bound(hosts, self.lookup.plan.model.layers))
            if limit < alone:
                return f"zone {index} may pass {rate(exact(alone) / MICRO)}, more than its limit"
        return ""
