"""How the devices of one stage share its work (docs/formulation.md 2)."""

from __future__ import annotations

from dataclasses import dataclass

from hexplan.cluster import Parallel


@dataclass(frozen=True, slots=True)
class Sharing:
    """How a stage is parallel, and the largest step that a shift stage runs tensor parallel."""

    parallel: Parallel = "tp"
    shift_tokens: int | None = None

    @property
    def is_tensor(self) -> bool:
        """Whether every step is tensor parallel, so that a device holds its shard and no more."""
        return self.parallel == "tp"


TENSOR = Sharing()
"""What a stage is where nothing else is said."""
