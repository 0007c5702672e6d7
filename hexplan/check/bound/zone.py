"""The zone bound, recomputed from its prices and boxes (docs/formulation.md 8)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from hexplan.bound_proof import GroupPrice, ZoneProof
from hexplan.check.bound.crossing import misplaced_sites, within
from hexplan.check.bound.curves import GroupKey
from hexplan.check.bound.exchange import Exchange
from hexplan.check.bound.pattern import Prices, read_prices
from hexplan.check.bound.rules import BOUND_NOT_PROVED, PROOF_MISPLACED
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
        yield BOUND_NOT_PROVED.at("certificate, proof", reason)


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

    def misplaced_prices(self) -> Iterator[Violation]:
        """Yield prices of groups that no host can form, or that a zone's hosts have twice."""
        zone_of = {site: index for index, zone in enumerate(self.proof.zones) for site in zone}
        hosts = self.lookup.hosts
        for listed in self.proof.prices:
            for price in listed:
                if price.host not in hosts or hosts[price.host].site not in zone_of:
                    message = f"host {price.host} is in no zone"
                    yield PROOF_MISPLACED.at("certificate, prices", message)
            for zone in range(len(self.proof.zones)):
                yield from read_prices(self.inside[zone], self._of_zone(listed, zone), {})

    def _of_zone(self, listed: Sequence[GroupPrice], zone: int) -> tuple[GroupPrice, ...]:
        names = {name for each in self.inside[zone] for name in each.hosts}
        return tuple(price for price in listed if price.host in names)

    def _prices(self) -> tuple[tuple[Prices, ...], ...]:
        """Return the prices of each list, by zones."""
        found = []
        for listed in self.proof.prices:
            by_zone: list[Prices] = []
            for zone in range(len(self.proof.zones)):
                known: dict[GroupKey, Fraction] = {}
                list(read_prices(self.inside[zone], self._of_zone(listed, zone), known))
                by_zone.append(known)
            found.append(tuple(by_zone))
        return tuple(found)

    def why_not(self) -> str:
        """Say why the bound is not proved; an empty text if it is."""
        lookup, proof = self.lookup, self.proof
        if len(lookup.hosts) > CROSSING_HOSTS or len(proof.boxes) > ZONE_BOXES:
            return (
                f"{len(lookup.hosts)} hosts and {len(proof.boxes)} boxes, needed at most"
                f" {CROSSING_HOSTS} and {ZONE_BOXES}"
            )
        zoned = {name for zone in self.inside for each in zone for name in each.hosts}
        left_out = [
            name
            for each in self.supply
            for name in each.hosts
            if name not in zoned and any(map(any, each.curves.values()))
        ]
        if left_out:
            return f"host {left_out[0]} is in no zone"
        if len(proof.most_tokens_per_s) != len(proof.zones) or not self.target:
            return f"{len(proof.zones)} zones need as many limits, and a bound above 0"
        most = tuple(int(exact(limit) * MICRO) for limit in proof.most_tokens_per_s)
        for index, (hosts, limit) in enumerate(zip(self.inside, most, strict=True)):
            alone = min(self.target, work_bound(hosts, lookup.plan.model.layers))
            if limit < alone:
                return f"zone {index} may pass {rate(exact(alone) / MICRO)}, more than its limit"
        exchange = Exchange.of(lookup)
        zones = tuple(
            ZoneSupply(hosts, max(exchange.inward(sites), exchange.outward(sites)))
            for hosts, sites in zip(self.inside, map(frozenset, proof.zones), strict=True)
        )
        boxes = ZoneBoxes(zones, self._prices(), self.target, lookup.plan.model.layers)
        return boxes.why_not(tuple((0, limit) for limit in most), proof.boxes)
