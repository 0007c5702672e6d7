"""The form of a batch on the wire: a frame of bytes, and after it a payload that is too large.

A frame starts with four 64-bit words (the launch's mark, and the numbers of rows, token ids and
activations) and one record for each row. A batch whose payload fits into the frame too is one
message, as gloo lets a sender fill less than what the receiver has room for. Nothing is unpickled.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from hexplan.errors import HexplanError
from hexplan_runtime.batch import MAX_ROWS, Batch, Row
from hexplan_runtime.request import Sampling

FRAME_BYTES: Final = 65536
"""The receiver always offers this much memory, so a small batch is one message, not two."""
_HEAD: Final = struct.Struct("<qqqq")
_ROW: Final = struct.Struct("<qqqqqqqqdd")
_ID_BYTES: Final = 8
_SAMPLES, _CLOSES, _DECODES = 1, 2, 4

RowWords = tuple[int, int, int, int, int, int, int, int, float, float]


@dataclass(frozen=True, slots=True)
class WireFormat:
    """What both ends of an edge must know to read each other's batches."""

    launch: int
    """A random number that marks the messages of this launch."""
    hidden: int
    """Width of an activation."""
    dtype: torch.dtype
    """Type of an activation."""

    @property
    def hidden_bytes(self) -> int:
        """Bytes of the activation of one token."""
        return self.hidden * self.dtype.itemsize


@dataclass(frozen=True, slots=True)
class Envelope:
    """What a frame contains, with memory for what follows it."""

    rows: tuple[Row, ...]
    token_ids: Tensor | None
    """Token ids, filled already if the payload was in the frame."""
    hidden: Tensor | None
    """Activations, filled already if the payload was in the frame."""
    is_complete: bool
    """Whether the payload was in the frame."""


def pack(batch: Batch, wire_format: WireFormat) -> list[Tensor]:
    """Return the messages that carry a batch: one, or the frame and its payload."""
    if len(batch.rows) > MAX_ROWS:
        message = f"a batch of {len(batch.rows)} rows; at most {MAX_ROWS} fit a frame"
        raise HexplanError(message)
    payload = [part for part in (batch.token_ids, batch.hidden) if part is not None]
    ids, hidden = _count(batch.token_ids), _count(batch.hidden)
    head = _HEAD.pack(wire_format.launch, len(batch.rows), ids, hidden)
    records = b"".join(_ROW.pack(*_words(row)) for row in batch.rows)
    frame = torch.frombuffer(bytearray(head + records), dtype=torch.uint8)
    if _fits(len(frame), ids, hidden, wire_format):
        return [torch.cat([frame, *(part.reshape(-1).view(torch.uint8) for part in payload)])]
    return [frame, *(part.contiguous() for part in payload)]


def num_bytes(batch: Batch) -> int:
    """Return the bytes of a batch on the wire, its header included."""
    payload = sum(part.nbytes for part in (batch.token_ids, batch.hidden) if part is not None)
    return _HEAD.size + _ROW.size * len(batch.rows) + payload


def new_frame() -> Tensor:
    """Return memory for a frame."""
    return torch.empty(FRAME_BYTES, dtype=torch.uint8)


def unpack(frame: Tensor, wire_format: WireFormat) -> Envelope:
    """Read a frame, after a check that it belongs to this launch."""
    data = frame.numpy().data
    launch, num_rows, num_ids, num_hidden = _HEAD.unpack_from(data)
    if launch != wire_format.launch or not 0 <= num_rows <= MAX_ROWS:
        raise HexplanError("a message arrived that does not belong to this launch")
    end = _HEAD.size + num_rows * _ROW.size
    rows = tuple(_row(words) for words in _ROW.iter_unpack(data[_HEAD.size : end]))
    if min(num_ids, num_hidden) < 0 or num_ids + num_hidden != sum(row.tokens for row in rows):
        raise HexplanError("a message arrived whose rows and payload disagree")
    if not _fits(end, num_ids, num_hidden, wire_format):
        ids = torch.empty(num_ids, dtype=torch.int64) if num_ids else None
        room = (
            torch.empty(num_hidden, wire_format.hidden, dtype=wire_format.dtype)
            if num_hidden
            else None
        )
        return Envelope(rows, ids, room, is_complete=False)
    middle = end + num_ids * _ID_BYTES
    stop = middle + num_hidden * wire_format.hidden_bytes
    ids = frame[end:middle].view(torch.int64) if num_ids else None
    hidden = (
        frame[middle:stop].view(wire_format.dtype).view(-1, wire_format.hidden)
        if num_hidden
        else None
    )
    return Envelope(rows, ids, hidden, is_complete=True)


def _fits(used: int, ids: int, hidden: int, wire_format: WireFormat) -> bool:
    """Say whether the payload fits into the frame; both ends compute the same answer."""
    return used + ids * _ID_BYTES + hidden * wire_format.hidden_bytes <= FRAME_BYTES


def _count(part: Tensor | None) -> int:
    return 0 if part is None else len(part)


def _words(row: Row) -> RowWords:
    sampling = row.sampling
    flags = _SAMPLES * row.samples | _CLOSES * row.closes | _DECODES * row.decodes
    place = row.request, row.route, row.position, row.tokens, row.context_tokens, flags
    return *place, sampling.top_k, sampling.seed, sampling.temperature, sampling.top_p


def _row(words: RowWords) -> Row:
    request, route, position, tokens, context, flags, top_k, seed, temperature, top_p = words
    sampling = Sampling(temperature, top_k, top_p, seed)
    said = (bool(flags & flag) for flag in (_SAMPLES, _CLOSES, _DECODES))
    return Row(request, route, position, tokens, context, sampling, *said)
