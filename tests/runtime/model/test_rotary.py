"""Turned queries and keys against transformers' own function."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from hexplan_runtime.model.rotary import RotaryTable, pair_channels, rotate_

WIDTH = 10
FREQUENCIES = (1.0 / 10000.0 ** (torch.arange(0, WIDTH, 2).float() / WIDTH)).tolist()
positions = st.lists(st.integers(0, 2000), min_size=1, max_size=6)


@settings(max_examples=50, deadline=None)
@given(positions, st.sampled_from([1.0, 0.7]))
def test_products_of_queries_and_keys_are_those_of_transformers(
    at: list[int], scale: float
) -> None:
    torch.manual_seed(len(at))
    q, k = torch.randn(2, 3, len(at), WIDTH)  # heads, tokens, width
    angles = torch.tensor(at)[:, None] * torch.tensor(FREQUENCIES)
    angles = torch.cat((angles, angles), dim=-1)[None]
    theirs = apply_rotary_pos_emb(q[None], k[None], angles.cos() * scale, angles.sin() * scale)
    expected = theirs[0][0] @ theirs[1][0].transpose(1, 2)
    turns = RotaryTable(FREQUENCIES, scale)(at)
    ours = [rotate_(paired(x).transpose(0, 1).contiguous(), turns).transpose(0, 1) for x in (q, k)]
    torch.testing.assert_close(ours[0] @ ours[1].transpose(1, 2), expected, rtol=1e-4, atol=1e-3)


def paired(x_NTE: torch.Tensor) -> torch.Tensor:
    """Order the channels as weights are read: the rows of a projection are a head's channels."""
    rows = x_NTE.permute(0, 2, 1).reshape(-1, x_NTE.shape[1])
    return pair_channels(rows, WIDTH).view(len(x_NTE), WIDTH, -1).permute(0, 2, 1)


@given(positions, positions)
def test_a_table_that_grew_gives_what_a_new_one_gives(first: list[int], then: list[int]) -> None:
    grown = RotaryTable(FREQUENCIES, 1.0)
    grown(first)
    assert torch.equal(grown(then), RotaryTable(FREQUENCIES, 1.0)(then))


def test_heads_are_turned_in_place_in_16_bits_too() -> None:
    heads = torch.randn(4, 6, WIDTH).bfloat16()
    exact = rotate_(heads.float(), turns := RotaryTable(FREQUENCIES, 1.0)([0, 3, 70, 900]))
    assert rotate_(heads, turns) is heads
    assert torch.equal(heads, exact.bfloat16())
