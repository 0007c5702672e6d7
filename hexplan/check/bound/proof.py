"""The bound on the flow of every placement, recomputed from its proof (docs/formulation.md 8)."""

from __future__ import annotations

from collections.abc import Iterator

from hexplan.bound_proof import BoundProof
from hexplan.check.bound.supply import supply_of
from hexplan.check.bound.work import coordinator_bound, work_bound
from hexplan.check.exact import FLOAT_TOLERANCE, RATE_STEP, exact
from hexplan.check.lookup import Lookup
from hexplan.check.rule import Rule, Violation
from hexplan.check.text import rate
from hexplan.constants import MICRO

MOST_LAYERS = 4096
"""Layers of the largest model whose bounds are recomputed: twenty times as many as any has."""

BOUND_NOT_PROVED = Rule(
    "HEX801",
    "bound-not-proved",
    "The bound is at least what its proof gives, recomputed from the spec in the plan, up to one"
    " part in 1e9 and 1e-6 for each device.",
)


def bound_violations(lookup: Lookup) -> Iterator[Violation]:
    """Yield a bound that its proof does not prove."""
    certificate, layers = lookup.plan.certificate, lookup.plan.model.layers
    stated = exact(certificate.bound_tokens_per_s)
    if layers > MOST_LAYERS:
        message = f"the model has {layers} layers; bounds are proved for at most {MOST_LAYERS}"
        yield BOUND_NOT_PROVED.at("certificate, proof", message)
        return
    found = exact(_recomputed(lookup, certificate.proof)) / MICRO
    num_devices = sum(len(host.devices) for host in lookup.hosts.values())
    # Planner and check round the speeds of stages apart by as much.
    if found > stated * (1 + FLOAT_TOLERANCE) + (num_devices + 1) * RATE_STEP:
        kind = certificate.proof.kind
        message = f"states {rate(stated)}, but the {kind} bound is {rate(found)}"
        yield BOUND_NOT_PROVED.at("certificate, bound", message)


def _recomputed(lookup: Lookup, proof: BoundProof) -> int:
    """Return the bound that a proof gives, in 1e-6 tokens/s."""
    if proof.kind == "coordinator":
        return coordinator_bound(lookup.plan.cluster)
    return work_bound(supply_of(lookup), lookup.plan.model.layers)
