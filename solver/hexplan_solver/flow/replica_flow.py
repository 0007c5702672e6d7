"""The largest flow of whole replicas: what each passes, as far as links that they share allow."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

from hexplan.constants import MICRO
from hexplan.plan import CutTerm
from hexplan_solver.flow.network import OUTSIDE, Arc, Network, arc_name
from hexplan_solver.flow.priced_flow import priced_flow
from hexplan_solver.flow.routes import Flow, Path, stage_term


def replica_flow(network: Network) -> Flow:
    """Return a largest flow: exact where no NIC or trunk binds, else that of an LP, rounded down.

    The narrowest stage or link of each replica is its cut.
    """
    after = {arc.source: arc for arc in network.arcs if arc.source != OUTSIDE}
    paths: list[Path] = []
    cut: list[CutTerm] = []
    used: Counter[int] = Counter()
    for first in (arc for arc in network.arcs if arc.source == OUTSIDE):
        arcs = [first]
        while arcs[-1].target != OUTSIDE and arcs[-1].target in after:
            arcs.append(after[arcs[-1].target])
        if arcs[-1].target != OUTSIDE:
            continue  # no link joins two of its stages, so nothing passes
        stages = tuple(arc.target for arc in arcs[:-1])
        amount, term = _narrowest(network, arcs, stages)
        cut.append(term)
        if amount:
            paths.append(Path(stages, amount))
        for arc in arcs:
            used.update({index: amount * arc.token_bytes for index in arc.shared})
    if any(used[index] > network.shared_limit(index) * MICRO for index in used):
        return priced_flow(network)
    paths.sort(key=lambda path: (-path.amount, path.stages))
    return Flow(sum(path.amount for path in paths), tuple(paths), tuple(cut))


def _narrowest(network: Network, arcs: list[Arc], stages: tuple[int, ...]) -> tuple[int, CutTerm]:
    """Return what a replica passes alone, and the stage or link that limits it."""
    stage = min(stages, key=lambda i: network.stages[i].rate)
    arc = min(arcs, key=lambda arc: arc.capacity)
    rate = network.stages[stage].rate
    if rate <= arc.capacity:
        return rate, stage_term(network, stage)
    capacity = Decimal(arc.capacity) / MICRO
    return arc.capacity, CutTerm(constraint=arc_name(arc), price=Decimal(1), capacity=capacity)
