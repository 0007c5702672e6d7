"""Corrections of an overlay: how observed times differ from predicted ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hexplan.cluster import Cluster, Correction
from hexplan.wording import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hexplan.reading.locate import Locator
    from hexplan.reading.text.overlay_text import OverlayCorrectionText

Kind = tuple[str, int]
"""A device type and a number of devices."""


def with_corrections(
    cluster: Cluster, texts: Sequence[OverlayCorrectionText], at: Locator
) -> Cluster:
    """Return the cluster with these corrections, which replace older ones of the same stages."""
    known = {device.profile_name for device in cluster.device_types}
    line_of: dict[Kind, int] = {}
    found: dict[Kind, Correction] = {(c.device, c.tp): c for c in cluster.corrections}
    for index, text in enumerate(texts):
        path, kind = ("corrections", index), (text.device, text.tp)
        if text.device not in known:
            problem = f"found '{text.device}', needed a device type of the cluster"
            hint = did_you_mean(text.device, sorted(known))
            raise at.error((*path, "device"), problem, hint=hint)
        if kind in line_of:
            problem = f"found {text.tp} x {text.device} again, first at line {line_of[kind]}"
            raise at.error(path, problem, hint="keep one of them")
        line_of[kind] = at.line(path)
        found[kind] = Correction(
            device=text.device,
            tp=text.tp,
            prefill=text.prefill,
            decode=text.decode,
            layer_step_s=text.layer_step,
            error=text.error,
            source=text.source,
        )
    return cluster.model_copy(update={"corrections": tuple(found.values())})
