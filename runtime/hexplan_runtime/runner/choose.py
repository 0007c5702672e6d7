"""Which runner a stage gets."""

from __future__ import annotations

from collections.abc import Sequence

from hexplan.field_types import Range
from hexplan.plan import Stage as PlannedStage
from hexplan_runtime.model.linear import Rank
from hexplan_runtime.runner.own_layers import OwnLayers
from hexplan_runtime.runner.step_runner import StepRunner


def choose_runner(rank: Rank, stage: PlannedStage, blocks: Sequence[Range]) -> StepRunner:
    """Return what runs a stage's layers, which are cut into blocks where routes enter."""
    if rank.architecture.is_own:
        return OwnLayers(rank, stage, blocks)
    from hexplan_runtime.runner.family_layers import FamilyLayers  # only here ranks need it

    return FamilyLayers(rank, stage, blocks)
