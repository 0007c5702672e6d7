"""What launched plans showed, applied to the seconds of a mean request (formulation 4)."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from hexplan.check.lookup import Lookup
from hexplan.check.stage.roofline import Pair, Request
from hexplan.check.text import exact
from hexplan.cluster import Correction
from hexplan.plan import Stage


def correction_of(lookup: Lookup, stage: Stage, pairs: Sequence[Pair]) -> Correction | None:
    """Return the first correction for devices of one type and their number.

    Corrections are of tensor-parallel stages in one host, and say nothing of others.
    """
    if stage.parallel != "tp" or lookup.is_joined(stage):
        return None
    names = {kind.profiled_as or kind.name for _, kind in pairs}
    for correction in lookup.plan.cluster.corrections:
        if names == {correction.device} and len(pairs) == correction.tp:
            return correction
    return None


def corrected_seconds(
    correction: Correction,
    stated: Fraction,
    request: Request,
    datasheet: tuple[Fraction, Fraction, Fraction],
) -> Fraction:
    """Return `scale (f_p k prefill + f_d (k D/beta decode + head_s)) + u k (m + D/beta)`.

    Parameters
    ----------
    stated
        Seconds of a mean request without the correction.
    datasheet
        Seconds of the prompt and of the decodes in one layer, and of the head, by the datasheet;
        `scale` is the stated seconds over these.
    """
    prefill, decode, head = datasheet
    k = request.num_layers
    scale = stated / (k * (prefill + decode) + head)
    parts = exact(correction.prefill) * k * prefill + exact(correction.decode) * (k * decode + head)
    return scale * parts + exact(correction.layer_step_s) * k * request.num_steps
