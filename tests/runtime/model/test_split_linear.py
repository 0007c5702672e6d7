from __future__ import annotations

from functools import partial

import pytest
import torch
import torch.nn.functional as F

from hexplan_runtime.model.packed import can_pack
from hexplan_runtime.model.split_linear import SplitInputs, SplitOutputs

SMALL, LARGE = (5, 3, 3), (768, 512, 640)
"""Shards that are too small to be laid out, and shards that are not."""
assert_close = partial(torch.testing.assert_close, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("sizes", [SMALL, LARGE], ids=["views", "laid out"])
@pytest.mark.parametrize("has_bias", [True, False])
def test_outputs_of_a_shard_and_of_the_whole_are_those_of_torch(
    sizes: tuple[int, ...], *, has_bias: bool
) -> None:
    weight, x = torch.randn(sum(sizes), 256), torch.randn(7, 256)
    bias = torch.randn(sum(sizes)) if has_bias else None
    split, expected = SplitOutputs(weight.clone(), bias, sizes, 1), F.linear(x, weight, bias)
    assert_close(split(x), expected)
    assert_close(split.own(x), expected[:, sizes[0] : sizes[0] + sizes[1]])


@pytest.mark.parametrize("sizes", [SMALL, LARGE], ids=["views", "laid out"])
def test_products_with_inputs_of_a_shard_and_of_the_whole_are_those_of_torch(
    sizes: tuple[int, ...],
) -> None:
    weight, x = torch.randn(256, sum(sizes)) / 30, torch.randn(7, sum(sizes))
    split = SplitInputs(weight.clone(), sizes, 2)
    own = slice(sizes[0] + sizes[1], None)
    assert_close(split(x), F.linear(x, weight))
    assert_close(split.own(x[:, own]), F.linear(x[:, own], weight[:, own]))


def test_what_is_laid_out_keeps_no_whole_weight_beside() -> None:
    weight = torch.randn(sum(LARGE), 256)
    laid_out = can_pack(weight)
    splits = SplitOutputs(weight, None, LARGE, 0), SplitInputs(weight.t().contiguous(), LARGE, 0)
    for split in splits:
        assert (split._whole is None) == laid_out
        assert split.own.is_packed == laid_out
        assert [shard.is_packed for shard in split._shards] == [True] * 3 * laid_out
