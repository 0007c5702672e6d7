"""Sampling: from logits to the next token, the same token for the same seed.

The random number of a token depends on the request's seed and the token's position alone, not on
which other requests were in the batch or which route was taken. Nor does anything else of a row's
draw: which tokens may be drawn follows from values, never from an order among equal ones, and the
random number then picks among them in the order of their ids.

Shapes: R rows, D rows that are drawn, V vocabulary, K likeliest tokens of a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from hexplan_runtime.batch import Row
from hexplan_runtime.request import Sampling

_POSITION_STEP = 0x9E3779B97F4A7C15
"""2^64 over the golden ratio, as in splitmix64: it spreads neighbouring positions over all bits."""
_SEED_MASK = 2**63 - 1
_FLOATS: Final = torch.finfo(torch.float32)
_LIKELIEST: Final = 256
"""How many tokens are sorted first. They nearly always reach `top_p`; all are sorted otherwise."""


def sample(logits_RV: Tensor, rows: Sequence[Row]) -> Tensor:
    """Return one token id for each row."""
    logits_RV = _without_barred(logits_RV, rows)
    ids_R = logits_RV.max(dim=-1).indices  # argmax is four times slower in 16 bits
    drawn = [index for index, row in enumerate(rows) if row.sampling.temperature > 0]
    if drawn:
        chosen = [rows[index] for index in drawn]
        positions = [row.position + row.tokens for row in chosen]
        index_D = torch.tensor(drawn)
        logits_DV = logits_RV.index_select(0, index_D)
        ids_R[index_D] = draw_rows(logits_DV, [row.sampling for row in chosen], positions)
    return ids_R


def draw(logits_V: Tensor, sampling: Sampling, position: int) -> int:
    """Draw the token of a position."""
    return int(draw_rows(logits_V[None], [sampling], [position]))


def draw_rows(logits_DV: Tensor, samplings: Sequence[Sampling], positions: Sequence[int]) -> Tensor:
    """Draw the token of each position.

    Of the tokens that `min_p` leaves, and of them the `top_k` likeliest, those remain that together
    reach `top_p`, the likeliest first. Tokens as likely as the last one that remains do so too.
    """
    temperatures = [[min(max(s.temperature, _FLOATS.tiny), _FLOATS.max)] for s in samplings]
    temperature_D1 = torch.tensor(temperatures)
    # After the subtraction no temperature, however low, makes infinity minus infinity of a row.
    logits_DV = logits_DV.float()
    logits_DV = (logits_DV - logits_DV.amax(dim=-1, keepdim=True)).div_(temperature_D1)
    weights_DV = logits_DV.exp_()
    if any(s.top_k or s.top_p < 1 or s.min_p for s in samplings):
        weights_DV.masked_fill_(weights_DV < _least_weight(weights_DV, samplings), 0.0)
    reach_DV = weights_DV.cumsum(dim=-1, dtype=torch.float64)
    total_D1 = reach_DV[:, -1:].contiguous()
    pairs = zip(samplings, positions, strict=True)
    uniform_D1 = torch.stack([_uniform(sampling.seed, position) for sampling, position in pairs])
    picked_D1 = torch.searchsorted(reach_DV, uniform_D1[:, None] * total_D1, right=True)
    return torch.minimum(picked_D1, torch.searchsorted(reach_DV, total_D1))[:, 0]


def _without_barred(logits_RV: Tensor, rows: Sequence[Row]) -> Tensor:
    """Return logits by which no row picks what is barred at its position."""
    barring = [
        (index, row.sampling.barred_ids)
        for index, row in enumerate(rows)
        if row.position + row.tokens < row.sampling.barred_until
    ]
    if barring:
        logits_RV = logits_RV.clone()
        vocab = logits_RV.shape[-1]
        for index, barred in barring:
            ids = [token for token in barred if 0 <= token < vocab]
            left_V = logits_RV[index].index_fill(
                0, torch.tensor(ids, dtype=torch.int64), -torch.inf
            )
            # A grammar may leave nothing but what is barred, the end of a text.
            if not rows[index].sampling.grammar or left_V.max() > -torch.inf:
                logits_RV[index] = left_V
    return logits_RV


def _least_weight(weights_DV: Tensor, samplings: Sequence[Sampling]) -> Tensor:
    """Return the weight of the least likely token that each row may draw: `[D, 1]`."""
    vocab = weights_DV.shape[-1]
    num_sorted = min(vocab, max(_LIKELIEST, *(sampling.top_k for sampling in samplings), 0))
    likeliest_DK = weights_DV.topk(num_sorted, dim=-1).values
    k_D1 = torch.tensor([[min(sampling.top_k or vocab, vocab)] for sampling in samplings])
    by_k_D1 = likeliest_DK.gather(1, k_D1.clamp(max=num_sorted) - 1)
    by_k_D1.masked_fill_(k_D1 == vocab, 0.0)
    # The likeliest token has the weight 1, so that `min_p` is a weight already.
    by_k_D1 = torch.maximum(by_k_D1, torch.tensor([[sampling.min_p] for sampling in samplings]))
    if all(sampling.top_p == 1 for sampling in samplings):
        return by_k_D1
    p_D1 = torch.tensor([[sampling.top_p] for sampling in samplings], dtype=torch.float64)
    mass_D1 = weights_DV.where(weights_DV >= by_k_D1, 0.0).sum(-1, True, dtype=torch.float64)
    needed_D1 = (p_D1 * mass_D1).masked_fill_(p_D1 == 1, 0.0)
    reach_DK = likeliest_DK.cumsum(dim=-1, dtype=torch.float64)
    if (reach_DK[:, -1:] < needed_D1).any():
        likeliest_DK = weights_DV.sort(dim=-1, descending=True).values
        reach_DK = likeliest_DK.cumsum(dim=-1, dtype=torch.float64)
    last_D1 = torch.searchsorted(reach_DK, needed_D1).clamp_(max=reach_DK.shape[-1] - 1)
    by_p_D1 = likeliest_DK.gather(1, last_D1).masked_fill_(p_D1 == 1, 0.0)
    return torch.maximum(by_k_D1, by_p_D1)


def _uniform(seed: int, position: int) -> Tensor:
    """Return the random number of a position, `>= 0` and `< 1`."""
    mixed = (seed ^ (position * _POSITION_STEP)) & _SEED_MASK
    generator = torch.Generator().manual_seed(mixed)
    return torch.rand((), dtype=torch.float64, generator=generator)
