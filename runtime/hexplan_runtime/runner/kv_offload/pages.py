"""Pages of keys: the bounds of what is in each, and which of them queries attend to most.

A page is of `PAGE_TOKENS` tokens of one request. For each KV head the device keeps the least and
the largest value of each channel of its keys: no key of the page can have a larger product with a
query than the bounds allow (Quest, ICML 2024). That takes an eighth of the memory of keys and
values.

Shapes: R rows of one token, P pages of a row, n pages that are fetched, G KV heads, g query heads
of a KV head, E head width, T tokens, N pages of all requests, C channels' bounds: 2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

import torch
from torch import Tensor

from hexplan.constants import PAGE_TOKENS
from hexplan.field_types import Range


@dataclass(frozen=True, slots=True)
class Needed:
    """Which pages of each row some queries need."""

    pages_RGn: Tensor
    """Indices among the row's pages."""
    is_needed_R1n: Tensor
    """Which of them count: rows need different numbers of pages."""


class Scores(Protocol):
    """What tells how much queries attend to pages."""

    def __call__(self, q_RGgE: Tensor, bounds_CGRPE: Tensor) -> Tensor:
        """Return a score for each page, the higher the more: `[R, G, P]`."""
        ...


def bounded(q_RGgE: Tensor, bounds_CGRPE: Tensor) -> Tensor:
    """Return how near the largest product with any key of a page can come to the best of all pages.

    Query heads that share a KV head share what is fetched, so that one counts which needs a page
    most.
    """
    low_RGEP, high_RGEP = bounds_CGRPE.permute(0, 2, 1, 4, 3)
    q_RGgE = q_RGgE.to(low_RGEP.dtype)
    s_RGgP = torch.relu(q_RGgE) @ high_RGEP - torch.relu(-q_RGgE) @ low_RGEP
    scores_RGP: Tensor = (s_RGgP - s_RGgP.amax(-1, keepdim=True)).amax(2)
    return scores_RGP


def pages_of(positions: Range) -> Range:
    """Return the pages that hold some positions."""
    first, end = positions
    return first // PAGE_TOKENS, -(-end // PAGE_TOKENS)


def count_needed(pages: int, fraction: Decimal) -> int:
    """Return how many of a row's pages are fetched."""
    return math.ceil(pages * fraction)


def choose(scores_RGP: Tensor, visible: Sequence[Range], fraction: Decimal) -> Needed:
    """Return the last page and those with the highest scores, as many of a row as it is allowed.

    Tokens nearly always attend to the last ones, and the page that they are in is not full, which
    makes its bounds narrow.

    Parameters
    ----------
    visible
        The pages of each row that its token sees.
    """
    device = scores_RGP.device
    counts = [count_needed(end - first, fraction) for first, end in visible]
    page_P = torch.arange(scores_RGP.shape[-1], device=device)
    first_R11, end_R11 = torch.tensor(visible, device=device).T[:, :, None, None]
    is_hidden = (page_P < first_R11) | (page_P >= end_R11)
    scores_RGP = scores_RGP.masked_fill(page_P == end_R11 - 1, torch.inf)
    ranked = scores_RGP.masked_fill(is_hidden, -torch.inf).topk(max(counts), dim=-1)
    rank_n = torch.arange(max(counts), device=device)
    is_needed_R1n = rank_n < torch.tensor(counts, device=device)[:, None, None]
    return Needed(ranked.indices, is_needed_R1n)
