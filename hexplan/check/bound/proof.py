"""The bound on the flow of every placement, recomputed from its proof (docs/formulation.md 8)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hexplan.bound_proof import BoundProof
from hexplan.check.bound import rules
from hexplan.check.bound.crossing import crossing_bound, crossing_obstacles
from hexplan.check.bound.pattern import pattern_violations
from hexplan.check.bound.supply import ShapeSupply, supply_of
from hexplan.check.bound.work import coordinator_bound, work_bound
from hexplan.check.bound.zone import zone_violations
from hexplan.check.exact import FLOAT_TOLERANCE, RATE_STEP, exact
from hexplan.check.lookup import Lookup
from hexplan.check.rule import Violation
from hexplan.check.text import rate
from hexplan.constants import MICRO

MOST_LAYERS = 4096
"""Layers of the largest model whose bounds are recomputed: twenty times as many as any has."""


def bound_violations(lookup: Lookup) -> Iterator[Violation]:
    """Yield a bound that its proof does not prove."""
    proof, layers = lookup.plan.certificate.proof, lookup.plan.model.layers
    if proof.kind == "coordinator":
        yield from _compared(lookup, coordinator_bound(lookup.plan.cluster))
    elif layers > MOST_LAYERS:
        message = f"the model has {layers} layers; bounds are proved for at most {MOST_LAYERS}"
        yield rules.BOUND_NOT_PROVED.at("certificate, proof", message)
    else:
        yield from _by_supply(lookup, supply_of(lookup), proof)


def _by_supply(
    lookup: Lookup, supply: Sequence[ShapeSupply], proof: BoundProof
) -> Iterator[Violation]:
    """Yield a bound that does not follow from what the hosts can do."""
    if proof.kind == "pattern":
        yield from pattern_violations(lookup, supply, proof)
    elif proof.kind == "zone":
        yield from zone_violations(lookup, supply, proof)
    elif proof.kind == "crossing":
        obstacles = list(crossing_obstacles(lookup, proof))
        yield from obstacles
        if not obstacles:
            yield from _compared(lookup, crossing_bound(lookup, supply, proof))
    else:
        yield from _compared(lookup, work_bound(supply, lookup.plan.model.layers))


def _compared(lookup: Lookup, found_micro: int) -> Iterator[Violation]:
    """Yield a stated bound that is below the recomputed one.

    Planner and check may round the speed of each stage apart by as much as is allowed here.
    """
    certificate = lookup.plan.certificate
    found, stated = exact(found_micro) / MICRO, exact(certificate.bound_tokens_per_s)
    num_devices = sum(len(host.devices) for host in lookup.hosts.values())
    if found > stated * (1 + FLOAT_TOLERANCE) + (num_devices + 1) * RATE_STEP:
        message = f"states {rate(stated)}, but the {certificate.proof.kind} bound is {rate(found)}"
        yield rules.BOUND_NOT_PROVED.at("certificate, bound", message)
