"""Sampling: from logits to the next token, the same token for the same seed.

The random number of a token depends on the request's seed and the token's position alone, not on
which other requests were in the batch or which route was taken.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hexplan_runtime.batch import Row
from hexplan_runtime.request import Sampling

_POSITION_STEP = 0x9E3779B97F4A7C15
"""2^64 over the golden ratio, as in splitmix64: it spreads neighbouring positions over all bits."""
_SEED_MASK = 2**63 - 1


def sample(logits_RV: Tensor, rows: list[Row]) -> Tensor:
    """Return one token id for each row."""
    ids = logits_RV.argmax(dim=-1)
    for index, row in enumerate(rows):
        if row.sampling.temperature > 0:
            ids[index] = draw(logits_RV[index], row.sampling, row.position + row.tokens)
    return ids


def draw(logits_V: Tensor, sampling: Sampling, position: int) -> int:
    """Draw the token of a position."""
    sorted_V, ids_V = torch.sort(
        logits_V.float() / sampling.temperature, descending=True, stable=True
    )
    if sampling.top_k:
        sorted_V = sorted_V[: sampling.top_k]
    cumulative = torch.softmax(sorted_V.double(), dim=0).cumsum(dim=0)
    allowed = int((cumulative < sampling.top_p).sum()) + 1
    reach = cumulative[: min(allowed, len(cumulative))]
    uniform = torch.rand((), dtype=torch.float64, generator=_generator(sampling.seed, position))
    picked = int(torch.searchsorted(reach, uniform * reach[-1], right=True))
    return int(ids_V[min(picked, len(reach) - 1)])


def _generator(seed: int, position: int) -> torch.Generator:
    mixed = (seed ^ (position * _POSITION_STEP)) & _SEED_MASK
    return torch.Generator().manual_seed(mixed)
