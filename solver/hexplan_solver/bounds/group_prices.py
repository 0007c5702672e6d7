"""Prices of groups as a proof states them, each with a host that can form the group."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from hexplan.bound_proof import GroupPrice
from hexplan.constants import PRICE_DIGITS
from hexplan.host import Host
from hexplan_solver.problem.problem import Problem


def group_prices(problem: Problem, units: NDArray[np.int64]) -> tuple[GroupPrice, ...]:
    """Return the prices of the kinds that hosts of a problem can form; like groups once.

    Parameters
    ----------
    units
        Of each kind, in 1e-9.
    """
    cluster, found = problem.spec.cluster, {}
    hosts, asked = cluster.host_by_name, cluster.techniques

    def memory_of(host: Host) -> tuple[object, ...]:
        if not problem.spec.counts_host_memory:
            return ()
        return asked.memory_of(host), asked.link_of(host), len(host.devices)

    for kind in problem.kinds:
        names, price = problem.classes[kind.host_class].hosts, int(units[kind.index])
        if not names or not price:
            continue
        host = hosts[names[0]]
        # All that tells two groups apart for the check: what decides their speed.
        like = kind.group, host.interconnect, host.presence, bool(host.parts), memory_of(host)
        if like not in found:
            exact = Decimal(price).scaleb(-PRICE_DIGITS)
            found[like] = GroupPrice(host=host.name, devices=kind.group, price=exact)
    return tuple(found.values())
