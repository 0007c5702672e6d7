"""Matrix products with weights laid out once, at loading, for the few rows that a step has.

oneDNN can keep a weight in the layout that its kernels read. torch has that behind operators that
are not public, so a machine or a build without them uses `torch.nn.functional.linear`.
"""

from __future__ import annotations

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

_ROWS: Final = 8
"""Rows of x that the layout is chosen for. It was the best of 1, 8 and 64 on Zen 4 for every number
of rows from 1 to 512, or within a few percent of it."""
_LEAST_ROWS: Final = 4
"""Fewer rows take longer than four: one by 17 % in float32 and 6 to 16 % in bfloat16 on Zen 4."""
_LEAST_BYTES: Final = 1 << 19
"""Below, a packed product's fixed cost of about 12 us exceeds what it saves."""


class Linear:
    """`x W^T + b`; the weight is kept once, packed or as it came."""

    def __init__(
        self, weight_OI: Tensor, bias_O: Tensor | None = None, *, may_pack: bool = True
    ) -> None:
        self.is_packed = may_pack and can_pack(weight_OI)
        """Whether oneDNN chose the layout."""
        self._weight = _pack(weight_OI) if self.is_packed else weight_OI
        self._bias = bias_O

    def __call__(self, x_TI: Tensor) -> Tensor:
        """Return the product: `[T, O]`."""
        if not self.is_packed:
            return F.linear(x_TI, self._weight, self._bias)
        tokens = len(x_TI)
        if tokens < _LEAST_ROWS:
            x_TI = F.pad(x_TI, (0, 0, 0, _LEAST_ROWS - tokens))
        return _product(x_TI, self._weight, self._bias)[:tokens]


def can_pack(weight: Tensor) -> bool:
    """Say whether a weight is worth packing, and this torch can do it on this processor."""
    return (
        weight.device.type == "cpu"
        and weight.dtype in (torch.float32, torch.bfloat16)
        and weight.nbytes >= _LEAST_BYTES
        and _is_offered(weight.dtype)
    )


def _is_offered(dtype: torch.dtype) -> bool:
    """Try a small product: some builds lack the operators, some processors the type."""
    ones = torch.ones(16, 16, dtype=dtype)
    try:
        found = _product(ones, _pack(ones), None)
    except (AttributeError, RuntimeError):
        return False
    return torch.equal(found, 16 * ones)


def _pack(weight: Tensor) -> Tensor:
    packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), _ROWS)
    return packed


def _product(x_TI: Tensor, packed: Tensor, bias_O: Tensor | None) -> Tensor:
    product: Tensor = torch.ops.mkldnn._linear_pointwise(x_TI, packed, bias_O, "none", [], "")
    return product
