"""What both ends of an edge must know of its frames: their parts, and how large they are."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from hexplan.cost.links import compressed_bytes
from hexplan.field_types import Compression
from hexplan_runtime.batch import Batch, Row
from hexplan_runtime.net.extras import packed_logprobs, packed_prompt_logprobs

FRAME_BYTES: Final = 65536
"""The receiver always offers this much memory, so a small batch is one message, not two."""
HEAD: Final = struct.Struct("<qqiiiiq")
ROW: Final = struct.Struct("<qqqII")


@dataclass(frozen=True, slots=True)
class WireFormat:
    """What both ends of an edge must know to read each other's batches."""

    launch: int
    """A random number that marks the messages of this launch."""
    hidden: int
    """Width of an activation."""
    dtype: torch.dtype
    """Type of an activation."""
    compress: Compression = "none"
    """How this end sends activations; a frame says how its own are."""

    def hidden_bytes(self, *, is_compressed: bool) -> int:
        """Return the bytes of the activation of one token."""
        if is_compressed:
            return compressed_bytes(self.hidden)
        return self.hidden * self.dtype.itemsize


@dataclass(frozen=True, slots=True)
class Envelope:
    """What a frame contains, with memory for what follows it."""

    rows: tuple[Row, ...]
    """Its rows, to which extras may add."""
    flags: tuple[int, ...]
    """What the record of each row says of it."""
    extras: Tensor | None
    """Bytes of extras, filled already if the payload was in the frame."""
    token_ids: Tensor | None
    """Token ids, filled already if the payload was in the frame."""
    hidden: Tensor | None
    """Activations, filled already if the payload was in the frame."""
    is_complete: bool
    """Whether the payload was in the frame."""
    is_compressed: bool = False
    """Whether activations are bytes that stand for them."""
    is_old: bool = False
    """Whether it is of an epoch that is over, and says nothing."""

    @property
    def parts(self) -> list[Tensor]:
        """The parts of the payload, in their order."""
        every = self.extras, self.token_ids, self.hidden
        return [part for part in every if part is not None]


def num_bytes(batch: Batch, compress: Compression = "none") -> int:
    """Return the bytes of a batch on the wire with its header, but without what opens requests."""
    payload = sum(part.nbytes for part in (batch.token_ids, batch.hidden) if part is not None)
    if batch.hidden is not None and compress != "none":
        tokens, hidden = batch.hidden.shape
        payload += tokens * compressed_bytes(hidden) - batch.hidden.nbytes
    told = sum(len(packed_logprobs(one)) for one in batch.logprobs if one is not None)
    told += sum(len(packed_prompt_logprobs(one)) for one in batch.prompt_logprobs if one)
    return HEAD.size + ROW.size * len(batch.rows) + told + payload


def new_frame() -> Tensor:
    """Return memory for a frame."""
    return torch.empty(FRAME_BYTES, dtype=torch.uint8)
