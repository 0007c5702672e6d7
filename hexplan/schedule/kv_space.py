"""KV space: how much of each stage's KV cache admitted requests hold.

Amounts are tokens times layers, because a request that enters a stage in the middle of its layers
keeps nothing for the layers before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KvHold:
    """The layers of one stage for which a request keeps KV."""

    stage: int
    """Position of the stage."""
    layers: int
    """Layers that keep its whole context, to its end."""
    prompt_layers: int = 0
    """Layers that keep only its prompt, until that has moved to the stage that decodes them."""


class KvSpace:
    """The KV caches of all stages, and what is reserved in them.

    Parameters
    ----------
    capacity
        Tokens times layers of each stage.
    fill
        Share of it that admission may reserve; the rest is for contexts that outgrow what was
        reserved for them.
    """

    def __init__(self, capacity: Sequence[int], fill: float = 1.0) -> None:
        self.capacity = tuple(capacity)
        self.limit = tuple(int(amount * fill) for amount in capacity)
        """What admission may fill."""
        self.reserved = [0] * len(self.capacity)

    def has_room(self, holds: Sequence[KvHold], tokens: int, prompt_tokens: int = 0) -> bool:
        """Say whether a request of so many tokens can be admitted to every stage of its route."""
        for hold in holds:
            need = hold.layers * tokens + hold.prompt_layers * prompt_tokens
            if self.reserved[hold.stage] + need > self.limit[hold.stage]:
                return False
        return True

    def fits_when_empty(self, holds: Sequence[KvHold], tokens: int, prompt_tokens: int = 0) -> bool:
        """Say whether it could be admitted if nothing were reserved."""
        return all(
            hold.layers * tokens + hold.prompt_layers * prompt_tokens <= self.limit[hold.stage]
            for hold in holds
        )

    def longest_tokens(self, holds: Sequence[KvHold]) -> int:
        """Return the longest context that could be admitted if nothing were reserved."""
        return min(self.limit[hold.stage] // hold.layers for hold in holds)

    def reserve(self, holds: Sequence[KvHold], tokens: int, prompt_tokens: int = 0) -> None:
        """Keep room for a request."""
        for hold in holds:
            self.reserved[hold.stage] += hold.layers * tokens + hold.prompt_layers * prompt_tokens
            assert self.reserved[hold.stage] <= self.capacity[hold.stage], "KV cache over capacity"

    def release(self, holds: Sequence[KvHold], tokens: int, prompt_tokens: int = 0) -> None:
        """Free what a request kept."""
        for hold in holds:
            self.reserved[hold.stage] -= hold.layers * tokens + hold.prompt_layers * prompt_tokens
            assert self.reserved[hold.stage] >= 0, "KV freed twice"

    def grow(self, holds: Sequence[KvHold], tokens: int = 1) -> bool:
        """Keep room for more tokens of an admitted request; False if a cache is full."""
        for hold in holds:
            if self.reserved[hold.stage] + hold.layers * tokens > self.capacity[hold.stage]:
                return False
        for hold in holds:
            self.reserved[hold.stage] += hold.layers * tokens
        return True
