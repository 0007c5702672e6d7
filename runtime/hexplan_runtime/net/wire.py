"""The form of a batch on the wire: a frame of bytes, and after it a payload that is too large.

A frame starts with 40 bytes (the launch's mark, the edge's epoch, and the numbers of rows, bytes of
extras, token ids and activations, and whether these are compressed). One record for each row
follows, and then the terms of each request of which this is the first row over the edge. The
payload is extras, ids and activations. A batch whose payload fits into the frame too is one
message, as gloo lets a sender fill less than what the receiver has room for. Nothing is unpickled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import torch
from torch import Tensor

from hexplan.errors import HexplanError
from hexplan_runtime.batch import MAX_ROWS, Batch, Row
from hexplan_runtime.net.compression import compress, restore
from hexplan_runtime.net.extras import (
    ExtrasReader,
    packed_ids,
    packed_logprobs,
    packed_more,
    packed_prompt_logprobs,
)
from hexplan_runtime.net.frames import FRAME_BYTES as FRAME_BYTES
from hexplan_runtime.net.frames import HEAD, ROW
from hexplan_runtime.net.frames import Envelope as Envelope
from hexplan_runtime.net.frames import WireFormat as WireFormat
from hexplan_runtime.net.frames import new_frame as new_frame
from hexplan_runtime.net.frames import num_bytes as num_bytes
from hexplan_runtime.net.terms import TERMS, Terms
from hexplan_runtime.request import Logprobs

_ID_BYTES: Final = 8
_SAMPLES, _CLOSES, _DECODES, _OPENS, _ASKS_MORE, _TELLS, _STOPS, _KEEPS, _BEGINS, _TELLS_PROMPT = (
    1 << n for n in range(10)
)
_PARKS, _STOWS, _FETCHES = (1 << n for n in range(10, 13))
_MORE: Final = _ASKS_MORE | _STOPS | _BEGINS


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
        activations, is_compressed = batch.hidden, wire_format.compress != "none"
        if activations is not None and is_compressed:
            activations = compress(activations)
        payload = [p for p in (extras, batch.token_ids, activations) if p is not None]
        ids, hidden = _count(batch.token_ids), _count(activations)
        sizes = len(batch.rows), len(more), ids, is_compressed, hidden
        head = HEAD.pack(wire_format.launch, self._epoch, *sizes)
        frame = torch.frombuffer(bytearray(head + records), dtype=torch.uint8)
        size = hidden * wire_format.hidden_bytes(is_compressed=is_compressed)
        if _fits(len(frame) + len(more), ids, size):
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
            records.append(ROW.pack(*place, flags))
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
        launch, epoch, num_rows, *sizes = HEAD.unpack_from(data)
        if launch != wire_format.launch or not 0 <= num_rows <= MAX_ROWS:
            raise HexplanError("a message arrived that does not belong to this launch")
        if epoch < self._epoch:
            return Envelope((), (), None, None, None, is_complete=True, is_old=True)
        if epoch > self._epoch:
            self.begin_epoch(epoch)
        rows, flags, end = self._rows(data, num_rows)
        return self._with_payload(frame, Envelope(rows, flags, None, None, None, False), sizes, end)

    def _with_payload(
        self, frame: Tensor, envelope: Envelope, sizes: Sequence[int], end: int
    ) -> Envelope:
        """Return an envelope with its payload, or with memory for it.

        Parameters
        ----------
        sizes
            Bytes of extras, token ids, whether activations are compressed, and activations.
        end
            Where the payload begins, if it is in the frame.
        """
        wire_format, rows = self._wire_format, envelope.rows
        num_extras, num_ids, compressed, num_hidden = sizes
        is_compressed = compressed == 1
        if compressed not in (0, 1):
            raise HexplanError("a message arrived that is compressed in an unknown way")
        if num_extras < 0 or num_extras % _ID_BYTES:
            raise HexplanError("a message arrived whose extras are no whole words")
        if min(num_ids, num_hidden) < 0 or num_ids + num_hidden != sum(row.tokens for row in rows):
            raise HexplanError("a message arrived whose rows and payload disagree")
        width = wire_format.hidden_bytes(is_compressed=is_compressed)
        dtype = torch.uint8 if is_compressed else wire_format.dtype
        shape = num_hidden, width // dtype.itemsize
        envelope = replace(envelope, is_compressed=is_compressed)
        if not _fits(end + num_extras, num_ids, num_hidden * width):
            extras = torch.empty(num_extras, dtype=torch.uint8) if num_extras else None
            ids = torch.empty(num_ids, dtype=torch.int64) if num_ids else None
            room = torch.empty(shape, dtype=dtype) if num_hidden else None
            return replace(envelope, extras=extras, token_ids=ids, hidden=room)
        extras = frame[end : end + num_extras] if num_extras else None
        end += num_extras
        middle = end + num_ids * _ID_BYTES
        stop = middle + num_hidden * width
        ids = frame[end:middle].view(torch.int64) if num_ids else None
        hidden = frame[middle:stop].view(dtype).view(shape) if num_hidden else None
        return replace(envelope, extras=extras, token_ids=ids, hidden=hidden, is_complete=True)

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
        if hidden is not None and envelope.is_compressed:
            hidden = restore(hidden, self._wire_format.hidden, self._wire_format.dtype)
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
        end = HEAD.size + num_rows * ROW.size
        rows, every_flags = [], []
        for words in ROW.iter_unpack(data[HEAD.size : end]):
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


def _fits(used: int, ids: int, hidden_bytes: int) -> bool:
    """Say whether the payload fits into the frame; both ends compute the same answer."""
    return used + ids * _ID_BYTES + hidden_bytes <= FRAME_BYTES


def _count(part: Tensor | None) -> int:
    return 0 if part is None else len(part)
