"""Compressed activations: as many bytes as planned, and as close as said."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hexplan.constants import COMPRESSED_BLOCK
from hexplan.cost import activation_bytes
from hexplan.model import Model
from hexplan_runtime.batch import Batch, Row
from hexplan_runtime.net.compression import compress, restore
from hexplan_runtime.net.wire import Decoder, Encoder, WireFormat, num_bytes
from hexplan_runtime.request import Sampling

HIDDEN = 200


@given(
    tokens=st.integers(1, 5),
    hidden=st.integers(1, 400),
    scale=st.floats(1e-20, 1e20),
    seed=st.integers(0, 999),
)
def test_numbers_are_off_by_half_a_step_of_their_block(
    tokens: int, hidden: int, scale: float, seed: int
) -> None:
    dice = torch.Generator().manual_seed(seed)
    sent = torch.randn(tokens, hidden, generator=dice) * scale
    arrived = restore(compress(sent), hidden, torch.float32)
    for first in range(0, hidden, COMPRESSED_BLOCK):
        block = slice(first, first + COMPRESSED_BLOCK)
        largest = sent[:, block].abs().amax(dim=1, keepdim=True)
        off = (arrived[:, block] - sent[:, block]).abs()
        assert (off <= largest / 254 * 1.001).all()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_spoils_its_own_block_and_no_other(bad: float) -> None:
    sent = torch.ones(2, 3 * COMPRESSED_BLOCK)
    sent[0, COMPRESSED_BLOCK] = bad
    arrived = restore(compress(sent), sent.shape[1], torch.float32)
    middle = arrived[0, COMPRESSED_BLOCK : 2 * COMPRESSED_BLOCK]
    assert not middle.isfinite().any()
    middle.fill_(1)
    assert torch.equal(arrived, torch.ones_like(arrived))


def test_zeros_stay_zeros() -> None:
    assert not restore(compress(torch.zeros(2, HIDDEN)), HIDDEN, torch.float32).any()


@pytest.mark.parametrize("tokens", [3, 700])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_messages_have_the_bytes_that_plans_count(
    llama_model: Model, tokens: int, dtype: torch.dtype
) -> None:
    """Those of 700 tokens are too large for a frame; the receiver is told nothing beforehand."""
    row = Row(1, 0, 0, tokens, 9000, Sampling())
    sent = Batch((row,), hidden=torch.randn(tokens, HIDDEN).to(dtype))
    sizes = {}
    for how in ("none", "int8"):
        plain = WireFormat(launch=5, hidden=HIDDEN, dtype=dtype)
        encoder = Encoder(WireFormat(5, HIDDEN, dtype, how))
        parts = encoder.pack(sent)
        sizes[how] = sum(part.nbytes for part in parts)
        decoder = Decoder(plain)
        envelope = decoder.unpack(parts[0])
        arrived = decoder.complete(envelope, parts[1:] if len(parts) > 1 else envelope.parts)
        assert arrived.rows == sent.rows
        assert arrived.hidden is not None
        assert arrived.hidden.dtype == dtype
        limit = 0.0 if how == "none" else 0.05
        assert (arrived.hidden - sent.hidden).abs().max() <= limit
        assert num_bytes(sent, how) - num_bytes(sent) == sizes[how] - sizes["none"]
    model = llama_model.model_copy(update={"hidden": HIDDEN})
    assert sizes["none"] - sizes["int8"] == tokens * (
        HIDDEN * dtype.itemsize - activation_bytes(model, "int8")
    )
