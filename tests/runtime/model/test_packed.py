"""Packed products against torch's own."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from hexplan_runtime.model import packed
from hexplan_runtime.model.packed import Linear, can_pack

BIG = 512, 700  # more than what is packed at least, in 32 and in 16 bits


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 8, 33, 70])
@pytest.mark.parametrize("has_bias", [True, False])
def test_a_packed_product_is_the_plain_one(dtype: torch.dtype, rows: int, has_bias: bool) -> None:
    torch.manual_seed(rows)
    weight, x = torch.randn(BIG).to(dtype), torch.randn(rows, BIG[1]).to(dtype)
    bias = torch.randn(BIG[0]).to(dtype) if has_bias else None
    expected = F.linear(x.double(), weight.double(), None if bias is None else bias.double())
    found = Linear(weight, bias)(x)
    assert found.shape == expected.shape
    assert found.dtype == dtype
    error = (found.double() - expected).norm() / expected.norm()
    assert error < (1e-6 if dtype == torch.float32 else 3e-3)


def test_rows_that_are_not_side_by_side_in_memory_are_read_right() -> None:
    weight, wide = torch.randn(BIG), torch.randn(9, 2 * BIG[1])
    found = Linear(weight)(wide[:, BIG[1] :])
    torch.testing.assert_close(found, F.linear(wide[:, BIG[1] :], weight), rtol=1e-4, atol=1e-3)


def test_float16_and_small_weights_stay_plain() -> None:
    assert not can_pack(torch.zeros(BIG, dtype=torch.float16))
    assert not can_pack(torch.zeros(64, 64))
    assert not Linear(torch.zeros(64, 64)).is_packed


@pytest.mark.skipif(not can_pack(torch.zeros(BIG)), reason="this torch has no packed products")
def test_a_big_weight_is_packed() -> None:
    assert Linear(torch.zeros(BIG)).is_packed


def test_a_torch_without_the_operators_gets_the_plain_product(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(packed.torch.ops, "mkldnn", object())
    weight, x = torch.randn(BIG), torch.randn(3, BIG[1])
    linear = Linear(weight)
    assert not linear.is_packed
    assert torch.equal(linear(x), F.linear(x, weight))
