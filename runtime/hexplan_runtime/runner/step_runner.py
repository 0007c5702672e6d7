"""What a stage asks of whatever runs its layers.

Shapes: T tokens, R rows that sample, H hidden width, V vocabulary rows.
"""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from hexplan_runtime.model.step import BlockStep


class StepRunner(Protocol):
    """Runs the layers of one rank, with the model's ends where the stage has them."""

    def embed(self, ids_T: Tensor) -> Tensor:
        """Return what enters the first layer of the model: `[T, H]`, the same on every rank."""
        ...

    def run(self, block: int, x_TH: Tensor, step: BlockStep) -> None:
        """Bring the residual stream through a block of the stage's layers, in place."""
        ...

    def logits(self, x_RH: Tensor) -> Tensor | None:
        """Return the logits after these rows, `[R, V]`, on the leader; None on other ranks."""
        ...
