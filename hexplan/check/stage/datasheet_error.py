"""How far speeds from datasheets may be off."""

from __future__ import annotations

from fractions import Fraction

from hexplan.check.exact import exact
from hexplan.check.lookup import Lookup
from hexplan.check.stage.roofline import ShardOnDevice
from hexplan.constants import UNTRIED_ERROR
from hexplan.device import Efficiency, KernelEfficiency
from hexplan.model import Model
from hexplan.plan import Stage


def datasheet_error(lookup: Lookup, stage: Stage, shards: list[ShardOnDevice]) -> Fraction:
    """Return how far the speed of a stage without a profile may be off."""
    model, interconnect = lookup.plan.model, lookup.hosts[stage.host].interconnect
    errors = [_kernel_error(model, held.device_type.efficiency) for held in shards]
    if len(shards) > 1 and interconnect is not None:
        errors.append(exact(interconnect.error))
    return max(errors)


def _kernel_error(model: Model, efficiency: Efficiency) -> Fraction:
    """Return the largest error of what the model's layers are made of."""
    kinds: list[KernelEfficiency | None]
    if model.weights is None:
        kinds = [efficiency, efficiency.experts]
    elif model.weights.name == "fp8":
        kinds = [efficiency.fp8, efficiency.fp8_experts]
    else:
        kinds = [None, None]
    untried = max(exact(efficiency.error), exact(UNTRIED_ERROR))
    used = kinds if model.experts else kinds[:1]
    return max(untried if kind is None else exact(kind.error) for kind in used)
