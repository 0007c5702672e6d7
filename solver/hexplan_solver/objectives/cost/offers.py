"""Offers: the prices at which each host can be rented, as classes of a problem.

A host with a spot offer gets a twin: the same host, rented by that offer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, Decimal
from math import gcd

from hexplan.cluster import Cluster, Exclusion
from hexplan.host import Host
from hexplan.spec import Spec
from hexplan_solver.problem.problem import Problem, build_problem

TWIN = "~spot"
"""Ends the name of a twin; a name in a cluster.yaml never ends so."""


@dataclass(frozen=True, slots=True)
class Offers:
    """A problem in which each host with a spot offer stands twice, at two prices and speeds."""

    problem: Problem
    prices: tuple[Decimal, ...]
    """USD an hour for one host of each class."""
    rivals: tuple[tuple[int, ...], ...]
    """Groups of classes that are the same hosts at different prices."""

    def next_cost(self, bound: Decimal) -> Decimal:
        """Round a bound up to a multiple of the prices' greatest common divisor.

        Every cost is a sum of prices, and so such a multiple.
        """
        digits = max(-int(price.normalize().as_tuple().exponent) for price in self.prices)
        scale = Decimal(10) ** max(0, digits)
        step = gcd(*(int(price * scale) for price in self.prices)) / scale
        return (bound / step).to_integral_value(ROUND_CEILING) * step if step else bound

    def hosts(self, counts: tuple[int, ...]) -> dict[str, bool]:
        """Name the hosts of a choice (a count for each class); true if one takes its spot offer."""
        chosen: dict[str, bool] = {}
        for group in self.rivals:
            names = iter(_origin(name) for name in self.problem.classes[group[0]].hosts)
            for index in group:
                is_spot = self.problem.classes[index].hosts[0].endswith(TWIN)
                for _ in range(counts[index]):
                    chosen[next(names)] = is_spot
        return chosen


def offers_of(spec: Spec) -> Offers:
    """List every host at each of its prices.

    A host that is pinned to layers is rented at full price, as it has to serve all the time.
    """
    cluster = spec.cluster
    pinned = {pin.host for pin in cluster.layer_pins}
    twins = [_twin(h) for h in cluster.hosts if h.spot is not None and h.name not in pinned]
    originals = {_origin(twin.name) for twin in twins}
    update = {
        field: (
            *getattr(cluster, field),
            *(
                item.model_copy(update={"host": item.host + TWIN})
                for item in getattr(cluster, field)
                if item.host in originals
            ),
        )
        for field in ("group_pins", "exclusions")
    }
    doubled = cluster.model_copy(update={"hosts": (*cluster.hosts, *twins), **update})
    problem = build_problem(replace(spec, cluster=doubled))
    hosts = [doubled.host_by_name[host_class.hosts[0]] for host_class in problem.classes]
    groups: dict[str, list[int]] = {}
    for index, host in enumerate(hosts):
        groups.setdefault(_origin(host.name), []).append(index)
    prices = tuple(host.rent_usd_per_h or Decimal(0) for host in hosts)
    return Offers(problem, prices, tuple(tuple(group) for group in groups.values()))


def rented(spec: Spec, chosen: dict[str, bool]) -> Spec:
    """Return the spec with each chosen host at its price and all other hosts excluded."""
    cluster = with_rents(spec.cluster, chosen)
    left_out = tuple(Exclusion(host=h.name) for h in cluster.hosts if h.name not in chosen)
    pins = tuple(pin for pin in cluster.group_pins if pin.host in chosen)
    update = {"exclusions": (*cluster.exclusions, *left_out), "group_pins": pins}
    return replace(spec, cluster=cluster.model_copy(update=update), objective="throughput")


def with_rents(cluster: Cluster, chosen: dict[str, bool]) -> Cluster:
    """Return the cluster in which the spot offers of a choice are taken."""
    taken = {name for name, is_spot in chosen.items() if is_spot}
    hosts = tuple(_taken(host) if host.name in taken else host for host in cluster.hosts)
    return cluster.model_copy(update={"hosts": hosts})


def _twin(host: Host) -> Host:
    return _taken(host).model_copy(update={"name": host.name + TWIN})


def _taken(host: Host) -> Host:
    if host.spot is None:
        return host
    return host.model_copy(update={"spot": host.spot.model_copy(update={"is_taken": True})})


def _origin(name: str) -> str:
    return name.removesuffix(TWIN)
