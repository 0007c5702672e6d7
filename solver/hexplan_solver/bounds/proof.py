"""The proof: a bound on the flow of every placement, and how it was found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Proof:
    """A bound that holds for every placement of a problem."""

    micro_tokens_per_s: int
    """No placement has a larger flow, in 1e-6 tokens/s."""
    how: str
    """How it was proved, as the plan's certificate states it."""
    status: str
    """What the solver said of the search."""
