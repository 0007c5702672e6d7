"""The form of a batch on the wire: a frame of bytes, and after it a payload that is too large.

A frame starts with 40 bytes (the launch's mark, the edge's epoch, and the numbers of rows, bytes of
extras, token ids and activations). One record for each row follows, and then the terms of each
request of which this is the first row over the edge. The payload is extras, ids and activations. A
batch whose payload fits into the frame too is one message, as gloo lets a sender fill less than
what the receiver has room for. Nothing is unpickled.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import Tensor

from hexplan.errors import HexplanError
from hexplan_runtime.batch import MAX_ROWS, Batch, Row
from hexplan_runtime.net.extras import (
    ExtrasReader,
    packed_ids,
    packed_logprobs,
    packed_more,
    packed_prompt_logprobs,
)
from hexplan_runtime.net.terms import TERMS, Terms
from hexplan_runtime.request import Logprobs

FRAME_BYTES: Final = 65536
"""The receiver always offers this much memory, so a small batch is one message, not two."""
_HEAD: Final = struct.Struct("<qqiiqq")
_ROW: Final = struct.Struct("<qqqII")
_ID_BYTES: Final = 8
_SAMPLES, _CLOSES, _DECODES, _OPENS, _ASKS_MORE, _TELLS, _STOPS, _KEEPS, _BEGINS, _TELLS_PROMPT = (
    1 << n for n in range(10)
)
_PARKS, _STOWS, _FETCHES = (1 << n for n in range(10, 13))
_MORE: Final = _ASKS_MORE | _STOPS | _BEGINS


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
    is_old: bool = False
    """Whether it is of an epoch that is over, and says nothing."""

    @property
    def parts(self) -> list[Tensor]:
        """The parts of the payload, in their order."""
        every = self.extras, self.token_ids, self.hidden
        return [part for part in every if part is not None]


class Encoder:
    """Packs the batches of one edge, in the order in which they leave.

    What stays the same as long as a request runs goes with its first row only.
    """

    def __init__(self, wire_format: WireFormat, epoch: int = 0) -> None:
        self._wire_format = wire_format
        self._epoch = epoch
        self.opened: dict[int, Terms] = {}
        """What the other end knows of each request."""

    def begin_epoch(self, epoch: int) -> None:
        """Begin anew, with nothing known at the other end, which drops what was sent before."""
        assert epoch > self._epoch
        self._epoch = epoch
        self.opened.clear()

    def pack(self, batch: Batch) -> list[Tensor]:
        """Return the messages that carry a batch: one, or the frame and its payload."""
        if len(batch.rows) > MAX_ROWS:
            message = f"a batch of {len(batch.rows)} rows; at most {MAX_ROWS} fit a frame"
            raise HexplanError(message)
        wire_format = self._wire_format
        records, more = self._records(batch)
        extras = torch.frombuffer(bytearray(more), dtype=torch.uint8) if more else None
        payload = [p for p in (extras, batch.token_ids, batch.hidden) if p is not None]
        ids, hidden = _count(batch.token_ids), _count(batch.hidden)
        sizes = len(batch.rows), len(more), ids, hidden
        head = _HEAD.pack(wire_format.launch, self._epoch, *sizes)
        frame = torch.frombuffer(bytearray(head + records), dtype=torch.uint8)
        if _fits(len(frame) + len(more), ids, hidden, wire_format):
            return [torch.cat([frame, *(part.reshape(-1).view(torch.uint8) for part in payload)])]
        return [frame, *(part.contiguous() for part in payload)]

    def _records(self, batch: Batch) -> tuple[bytes, bytes]:
        """Return a record of each row with the terms of requests that are new here, and extras."""
        records, terms, extras = [], [], []
        every_told = batch.logprobs or (None,) * len(batch.rows)
        every_prompt = batch.prompt_logprobs or ((),) * len(batch.rows)
        for row, told, prompt in zip(batch.rows, every_told, every_prompt, strict=True):
            more = stops = begins = b""
            mine = Terms(row.route, row.sampling, row.end_rule, row.prefix)
            is_new = self.opened.get(row.request) != mine
            if is_new:
                self.opened[row.request] = mine
                terms.append(mine.packed())
                more = packed_more(row.sampling)
                stops = packed_ids(row.end_rule.stop_ids) if row.end_rule.stop_ids else b""
                if row.prefix.tokens:
                    begins = packed_ids((row.prefix.tokens, *row.prefix.sources))
                extras += [more, stops, begins]
            if told is not None:
                extras.append(packed_logprobs(told))
            if prompt:
                extras.append(packed_prompt_logprobs(prompt))
            if row.closes:
                del self.opened[row.request]
            flags = _SAMPLES * row.samples | _CLOSES * row.closes | _DECODES * row.decodes
            place = row.request, row.position, row.context_tokens, row.tokens
            flags |= _OPENS * is_new | _ASKS_MORE * bool(more) | _STOPS * bool(stops)
            flags |= _TELLS * (told is not None) | _KEEPS * row.end_rule.keeps
            flags |= _BEGINS * bool(begins) | _TELLS_PROMPT * bool(prompt)
            flags |= _PARKS * row.parks | _STOWS * row.stows | _FETCHES * row.fetches
            records.append(_ROW.pack(*place, flags))
        return b"".join((*records, *terms)), b"".join(extras)


class Decoder:
    """Reads the frames of one edge, in the order in which they left.

    A frame of a later epoch begins it; one of an earlier epoch is old, and read no further.
    """

    def __init__(self, wire_format: WireFormat, epoch: int = 0) -> None:
        self._wire_format = wire_format
        self._epoch = epoch
        self._opened: dict[int, Terms] = {}

    def unpack(self, frame: Tensor) -> Envelope:
        """Read a frame, after a check that it belongs to this launch."""
        wire_format = self._wire_format
        data = frame.numpy().data
        launch, epoch, num_rows, num_extras, num_ids, num_hidden = _HEAD.unpack_from(data)
        if launch != wire_format.launch or not 0 <= num_rows <= MAX_ROWS:
            raise HexplanError("a message arrived that does not belong to this launch")
        if epoch < self._epoch:
            return Envelope((), (), None, None, None, is_complete=True, is_old=True)
        if epoch > self._epoch:
            self.begin_epoch(epoch)
        rows, flags, end = self._rows(data, num_rows)
        if num_extras < 0 or num_extras % _ID_BYTES:
            raise HexplanError("a message arrived whose extras are no whole words")
        if min(num_ids, num_hidden) < 0 or num_ids + num_hidden != sum(row.tokens for row in rows):
            raise HexplanError("a message arrived whose rows and payload disagree")
        if not _fits(end + num_extras, num_ids, num_hidden, wire_format):
            extras = torch.empty(num_extras, dtype=torch.uint8) if num_extras else None
            ids = torch.empty(num_ids, dtype=torch.int64) if num_ids else None
            shape = num_hidden, wire_format.hidden
            room = torch.empty(shape, dtype=wire_format.dtype) if num_hidden else None
            return Envelope(rows, flags, extras, ids, room, is_complete=False)
        extras = frame[end : end + num_extras] if num_extras else None
        end += num_extras
        middle = end + num_ids * _ID_BYTES
        stop = middle + num_hidden * wire_format.hidden_bytes
        ids = frame[end:middle].view(torch.int64) if num_ids else None
        hidden = frame[middle:stop].view(wire_format.dtype) if num_hidden else None
        activations = None if hidden is None else hidden.view(-1, wire_format.hidden)
        return Envelope(rows, flags, extras, ids, activations, is_complete=True)

    def begin_epoch(self, epoch: int) -> None:
        """Forget what was said before, and drop what still comes of it."""
        self._epoch = epoch
        self._opened.clear()

    def complete(self, envelope: Envelope, parts: Sequence[Tensor]) -> Batch:
        """Return the batch of an envelope, before the next frame is unpacked.

        Parameters
        ----------
        parts
            The parts of its payload, filled.
        """
        payload = iter(parts)
        extras, ids, hidden = (
            None if part is None else next(payload)
            for part in (envelope.extras, envelope.token_ids, envelope.hidden)
        )
        reader = ExtrasReader(memoryview(b"") if extras is None else extras.numpy().data)
        rows, told, of_prompts = self._with_more(envelope, reader)
        if not reader.is_at_end:
            raise HexplanError("a message arrived whose rows and extras disagree")
        return Batch(rows, ids, hidden, told, of_prompts)

    def _with_more(
        self, envelope: Envelope, reader: ExtrasReader
    ) -> tuple[tuple[Row, ...], tuple[Logprobs | None, ...], tuple[tuple[Logprobs, ...], ...]]:
        """Return the rows with what their requests ask beyond their terms, and what is told."""
        if not any(flags & (_MORE | _TELLS | _TELLS_PROMPT) for flags in envelope.flags):
            return envelope.rows, (), ()
        rows, full = [], dict[int, Terms]()
        told: list[Logprobs | None] = []
        of_prompts: list[tuple[Logprobs, ...]] = []
        for row, flags in zip(envelope.rows, envelope.flags, strict=True):
            if flags & _OPENS:
                full.pop(row.request, None)
            sampling, end_rule, prefix = row.sampling, row.end_rule, row.prefix
            if flags & _ASKS_MORE:
                sampling = reader.sampling(sampling)
            if flags & _STOPS:
                end_rule = replace(end_rule, stop_ids=reader.ids())
            if flags & _BEGINS:
                prefix = reader.prefix()
            if flags & _MORE:
                full[row.request] = Terms(row.route, sampling, end_rule, prefix)
            rows.append(full[row.request].over(row) if row.request in full else row)
            told.append(reader.logprobs() if flags & _TELLS else None)
            of_prompts.append(reader.prompt_logprobs() if flags & _TELLS_PROMPT else ())
            if flags & _CLOSES:
                full.pop(row.request, None)
        self._opened.update(full)
        return (
            tuple(rows),
            tuple(told) if any(one is not None for one in told) else (),
            tuple(of_prompts) if any(of_prompts) else (),
        )

    def _rows(
        self, data: memoryview, num_rows: int
    ) -> tuple[tuple[Row, ...], tuple[int, ...], int]:
        """Return the rows of a frame, their flags, and where its payload begins."""
        end = _HEAD.size + num_rows * _ROW.size
        rows, every_flags = [], []
        for words in _ROW.iter_unpack(data[_HEAD.size : end]):
            request, position, context_tokens, tokens, flags = words
            if flags & _OPENS:
                if end + TERMS.size > len(data):
                    raise HexplanError("a message arrived that is cut off")
                self._opened[request] = Terms.unpacked(data, end, keeps=bool(flags & _KEEPS))
                end += TERMS.size
            terms = self._opened.get(request)
            if terms is None:
                raise HexplanError("a message arrived about a request that never began here")
            if flags & _CLOSES:
                del self._opened[request]
            samples, closes, decodes = (bool(flags & f) for f in (_SAMPLES, _CLOSES, _DECODES))
            place = request, terms.route, position, tokens, context_tokens, terms.sampling
            told = () if flags < _PARKS else (bool(flags & f) for f in (_PARKS, _STOWS, _FETCHES))
            rows.append(Row(*place, samples, closes, decodes, terms.end_rule, terms.prefix, *told))
            every_flags.append(flags)
        return tuple(rows), tuple(every_flags), end


def num_bytes(batch: Batch) -> int:
    """Return the bytes of a batch on the wire with its header, but without what opens requests."""
    payload = sum(part.nbytes for part in (batch.token_ids, batch.hidden) if part is not None)
    told = sum(len(packed_logprobs(one)) for one in batch.logprobs if one is not None)
    told += sum(len(packed_prompt_logprobs(one)) for one in batch.prompt_logprobs if one)
    return _HEAD.size + _ROW.size * len(batch.rows) + told + payload


def new_frame() -> Tensor:
    """Return memory for a frame."""
    return torch.empty(FRAME_BYTES, dtype=torch.uint8)


def _fits(used: int, ids: int, hidden: int, wire_format: WireFormat) -> bool:
    """Say whether the payload fits into the frame; both ends compute the same answer."""
    return used + ids * _ID_BYTES + hidden * wire_format.hidden_bytes <= FRAME_BYTES


def _count(part: Tensor | None) -> int:
    return 0 if part is None else len(part)
