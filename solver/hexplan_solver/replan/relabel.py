"""A placement on other hosts of the same flow: those on which it moves the fewest bytes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from hexplan_solver.placement.placement import PlacedStage
from hexplan_solver.problem.problem import Problem
from hexplan_solver.replan.movement import Movement


def relabelled(movement: Movement, stages: Sequence[PlacedStage]) -> list[PlacedStage]:
    """Swap like hosts, and like devices within each host, so that the fewest bytes move.

    Hosts are alike if no link rule and no pin tells them apart, so the flow stays the same. Each
    group of like hosts is an assignment problem of its own, which is solved exactly.
    """
    at: dict[str, list[PlacedStage]] = defaultdict(list)
    for stage in stages:
        at[stage.host].append(stage)
    found: list[PlacedStage] = []
    for hosts in like_hosts(movement.problem):
        options = [[movement.seated(at[source], host) for host in hosts] for source in hosts]
        cost = np.array([[movement.total(seated) for seated in row] for row in options], float)
        for source, target in zip(*linear_sum_assignment(cost), strict=True):
            found += options[source][target]
    return sorted(found)


def like_hosts(problem: Problem) -> list[list[str]]:
    """Group the hosts that can be swapped without a change of the flow."""
    cluster = problem.spec.cluster
    named = {end for link in cluster.links for end in (link.source, link.target)}
    groups: dict[tuple[object, ...], list[str]] = defaultdict(list)
    for index, host_class in enumerate(problem.classes):
        for name in host_class.hosts:
            devices = cluster.host_by_name[name].devices
            out = tuple(cluster.is_excluded(name, device) for device in range(len(devices)))
            pins = tuple(sorted(p.devices for p in cluster.group_pins if p.host == name))
            own = name if name in named else ""
            groups[index, devices, out, pins, own].append(name)
    return list(groups.values())
