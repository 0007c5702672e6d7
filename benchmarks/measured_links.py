"""What the collectives of a stage take over emulated links, as the runtime runs them between steps.

A link's latency is only part of a collective's start-up: packing tokens, and passing messages to
gloo and back, takes time of the processor besides, more for an exchange than for a sum.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Final

import torch
from emulated_links import EmulatedTeam
from torch import Tensor

from hexplan.host import Interconnect
from hexplan_runtime.model.head_exchange import HeadExchange
from hexplan_runtime.model.linear import Rank
from hexplan_runtime.model.portions import Portions

TOKENS: Final = (4, 16, 64, 256)
BETWEEN: Final = (1024, 6144)
"""A matrix of 25 MB that is multiplied by between two collectives: a step leaves no message in the
processor's caches."""
_DIGITS: Final = Decimal("0.000001")

Times = list[list[float]]
"""Seconds by tokens and link."""


def collective_times(rank: Rank, team: EmulatedTeam, rounds: int) -> tuple[Times, Times]:
    """Return what a sum and an exchange of tokens for heads take; all ranks call it together."""
    width, model = rank.model.hidden, rank.model
    heads = (model.group + 2) * model.kv_heads * model.head_dim
    exchange = HeadExchange(rank)

    def sum_up(tokens: int) -> Callable[[], object]:
        x_TH = torch.randn(tokens, width)
        return lambda: team.sum(x_TH.clone())

    def swap(tokens: int) -> Callable[[], object]:
        portions = Portions.of(tokens, team.size, team.rank)
        first, end = portions.ranges[team.rank]
        x_tW = torch.randn(end - first, heads)
        return lambda: exchange.to_heads(x_tW, portions)

    between, vector = torch.randn(BETWEEN), torch.randn(BETWEEN[1])

    def least(run: Callable[[], object]) -> list[float]:
        best: list[float] = []
        for _ in range(rounds):
            torch.mv(between, vector)
            team.begin()
            run()
            found = team.end()
            best = list(map(min, best, found)) if best else found
        return best

    sums = [least(sum_up(tokens)) for tokens in TOKENS]
    return sums, [least(swap(tokens)) for tokens in TOKENS]


def interconnects(sums: Times, exchanges: Times, token_bytes: int) -> list[Interconnect]:
    """Return what a planner would be told of each link: start-ups, and the bandwidth of sums."""
    found = []
    for number in range(len(sums[0])):
        start_s, token_s = line(TOKENS, [row[number] for row in sums])
        exchange_s, _ = line(TOKENS, [row[number] for row in exchanges])
        link = Interconnect(
            bandwidth_bytes_per_s=round(token_bytes / token_s),
            latency_s=_exact(start_s),
            exchange_latency_s=_exact(exchange_s),
        )
        found.append(link)
    return found


def fastest(one: Times, other: Times) -> Times:
    """Return the smaller of each two times."""
    return [list(map(min, *pair)) for pair in zip(one, other, strict=True)]


def slowest(ranks: Sequence[tuple[Times, Times]]) -> tuple[Times, Times]:
    """Return the times of the rank that is last."""

    def latest(tables: Sequence[Times]) -> Times:
        return [
            [max(cells) for cells in zip(*rows, strict=True)] for rows in zip(*tables, strict=True)
        ]

    return latest([one for one, _ in ranks]), latest([other for _, other in ranks])


def line(tokens: Sequence[int], seconds: Sequence[float]) -> tuple[float, float]:
    """Return what is fixed and what each token adds, fitted by relative error."""
    table = torch.tensor([[1.0, count] for count in tokens], dtype=torch.float64)
    times = torch.tensor(seconds, dtype=torch.float64)[:, None]
    ones: Tensor = times / times
    fixed_s, token_s = torch.linalg.lstsq(table / times, ones).solution.flatten().tolist()
    return fixed_s, token_s


def _exact(seconds: float) -> Decimal:
    return max(_DIGITS, Decimal(seconds).quantize(_DIGITS))
