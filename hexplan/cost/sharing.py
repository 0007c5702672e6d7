"""How the devices of one stage share its work (docs/formulation.md 2)."""

from __future__ import annotations

from dataclasses import dataclass

from hexplan.cluster import Parallel
from hexplan.techniques import Interleave, KvOffload


@dataclass(frozen=True, slots=True)
class Sharing:
    """How the devices of a stage share its work."""

    parallel: Parallel = "tp"
    """`tp`, `sp` or `shift`."""
    shift_tokens: int | None = None
    """Only for `shift`: tokens of the largest step that runs tensor parallel."""
    sp_degree: int | None = None
    """Only for `sp` and `shift`: groups that share out the tokens; None for one of each device."""
    interleave: Interleave | None = None
    """Only for `tp`: how large steps run in two lanes; None if none does."""
    kv_offload: KvOffload | None = None
    """Only for `tp`: how keys and values are in host memory; None if they are not."""

    @property
    def is_tensor(self) -> bool:
        """Whether every step is tensor parallel, so that each device holds only its shard."""
        return self.parallel == "tp"


TENSOR = Sharing()
"""The default: plain tensor parallelism."""
