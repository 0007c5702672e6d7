"""Residual capacities: what is left of each capacity of a network while flow is put on it."""

from __future__ import annotations

from collections import defaultdict

from hexplan.constants import MICRO
from hexplan_solver.flow.network import OUTSIDE, Network


class Residual:
    """What stages, links, NICs and trunks can still carry, in whole 1e-6 tokens/s or bytes/s."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self.of_stage = [stage.rate for stage in network.stages]
        """What each stage can still take in, in 1e-6 tokens/s."""
        # Flow moves over millions of pairs of stages on large clusters, and a plain pair is the key
        # that costs least.
        self._on_arc: dict[tuple[int, int], int] = defaultdict(int)
        self._on_shared: dict[int, int] = defaultdict(int)

    def take(self, amount: int, source: int, target: int) -> int:
        """Send as much of an amount as can pass from one end to another; return how much."""
        arc = self._network.arc(source, target)
        if arc is None:
            return 0
        amount = min(amount, arc.capacity - self._on_arc[source, target])
        if target != OUTSIDE:
            amount = min(amount, self.of_stage[target])
        for index in arc.shared:
            left = self._network.shared_limit(index) * MICRO - self._on_shared[index]
            amount = min(amount, left // arc.token_bytes)
        self._on_arc[source, target] += amount
        if target != OUTSIDE:
            self.of_stage[target] -= amount
        for index in arc.shared:
            self._on_shared[index] += amount * arc.token_bytes
        return amount
