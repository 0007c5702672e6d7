"""Origins: what a stage's speed rests on, by the profiles and devices that the plan carries."""

from __future__ import annotations

from collections.abc import Iterator

from hexplan.check.lookup import Lookup
from hexplan.check.rule import Rule, Violation
from hexplan.check.stage.correction import correction_of
from hexplan.check.stage.sizes import length
from hexplan.check.stage.speed import SpeedSource, speed_source
from hexplan.check.stage.steps import CORRECTED, DATASHEET, MEASURED, scaled_origin
from hexplan.plan import Stage

SPEED_ORIGIN_WRONG = Rule(
    "HEX408",
    "speed-origin-wrong",
    "A stage's `speed_origin` names what its capacity rests on: its profile, the profile that is"
    " scaled, or the datasheet; and that it was corrected, if such a stage was observed.",
)


def origin_violations(lookup: Lookup) -> Iterator[Violation]:
    """Yield stages that state another origin than that of their capacity."""
    for stage in lookup.plan.stages:
        if not lookup.is_measurable(stage):
            continue
        source = speed_source(lookup, stage)
        needed = _origin(lookup, stage, source)
        if needed is not None and stage.speed_origin != needed:
            message = f"states {stage.speed_origin}, but its capacity rests on: {needed}"
            yield SPEED_ORIGIN_WRONG.at(f"stage {stage.id}", message)


def _origin(lookup: Lookup, stage: Stage, source: SpeedSource) -> str | None:
    """Return what the capacity rests on; None if the profile tells no capacity (HEX402)."""
    origin, rates = DATASHEET, source.profile.tokens_per_s if source.profile else ()
    if source.profile is not None:
        if length(stage.layers) > len(rates):
            return None
        origin = MEASURED
        if not rates[length(stage.layers) - 1]:
            return origin  # a speed of 0 has nothing to correct
    elif source.scaled is not None:
        origin = scaled_origin(source.scaled)
    corrected = correction_of(lookup, stage, source.shards) is not None
    return origin + CORRECTED * corrected
