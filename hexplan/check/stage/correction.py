"""Corrections from launched plans, applied to the seconds of a mean request (formulation 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from hexplan.check.exact import exact
from hexplan.check.lookup import Lookup
from hexplan.check.stage.roofline import ShardOnDevice, StageRequest
from hexplan.cluster import Correction
from hexplan.plan import Stage


def correction_of(
    lookup: Lookup, stage: Stage, shards: Sequence[ShardOnDevice]
) -> Correction | None:
    """Return the first correction for the stage's device type and number of devices, if any.

    Only tensor-parallel stages in one host are corrected, as no others were observed.
    """
    if stage.parallel != "tp" or lookup.is_joined(stage):
        return None
    names = {shard.device_type.profiled_as or shard.device_type.name for shard in shards}
    for correction in lookup.plan.cluster.corrections:
        if names == {correction.device} and len(shards) == correction.tp:
            return correction
    return None


@dataclass(frozen=True, slots=True)
class DatasheetSeconds:
    """What a mean request takes by the datasheet."""

    prefill: Fraction
    """Its prompt, in one layer."""
    decode: Fraction
    """Its share of decode steps, in one layer."""
    head: Fraction
    """The output head; 0 if the stage is not the last."""


def corrected_seconds(
    correction: Correction,
    stated: Fraction,
    request: StageRequest,
    datasheet: DatasheetSeconds,
) -> Fraction:
    """Return `scale (f_p k prefill + f_d (k D/beta decode + head_s)) + u k (m + D/beta)`.

    y is the ratio of stated to datasheet seconds.

    Parameters
    ----------
    stated
        Seconds of a mean request without the correction.
    """
    prefill, decode, head = datasheet.prefill, datasheet.decode, datasheet.head
    k = request.num_layers
    scale = stated / (k * (prefill + decode) + head)
    parts = exact(correction.prefill) * k * prefill + exact(correction.decode) * (k * decode + head)
    return scale * parts + exact(correction.layer_step_s) * k * request.num_steps
