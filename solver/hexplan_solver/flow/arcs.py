"""Stages and the arcs between them as arrays: one arc for every two stages whose layers meet."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hexplan_solver.flow.link_arrays import Floats, Ints, LinkArrays


@dataclass(frozen=True, slots=True)
class StageArrays:
    """Stages, as arrays of one length."""

    host: Ints
    """Position in `LinkArrays.ends`."""
    first: Ints
    end: Ints
    """Layers `[first, end)`."""
    rate: Floats
    """In tokens/s."""

    @property
    def size(self) -> int:
        """How many there are."""
        return self.host.size


@dataclass(frozen=True, slots=True)
class ArcArrays:
    """Arcs between stages; the number of stages stands for entry and exit."""

    tail: Ints
    head: Ints
    capacity: Floats
    """In tokens/s."""
    shared: Ints
    """For each arc, the shared capacities on its way, as `LinkArrays` numbers them, or -1."""
    token_bytes: Ints
    """What a token takes of each of them."""

    def some(self, chosen: Ints) -> ArcArrays:
        """Return the arcs at some positions."""
        return ArcArrays(
            self.tail[chosen],
            self.head[chosen],
            self.capacity[chosen],
            self.shared[chosen],
            self.token_bytes[chosen],
        )


def arcs_between(stages: StageArrays, num_layers: int, links: LinkArrays) -> ArcArrays:
    """Return every arc: from entry, between stages, to exit."""
    outside = stages.size
    meets = stages.first[None, :] <= stages.end[:, None]
    tail, head = np.nonzero(meets & (stages.end[:, None] < stages.end[None, :]))
    entered = np.flatnonzero(stages.first == 0)
    left = np.flatnonzero(stages.end == num_layers)
    tail = np.concatenate([np.full(entered.size, outside), tail, left])
    head = np.concatenate([entered, head, np.full(left.size, outside)])
    host = np.append(stages.host, len(links.ends) - 1)
    between = links.between(host[tail], host[head])
    joined = between.capacity > 0
    return ArcArrays(
        tail[joined],
        head[joined],
        between.capacity[joined],
        between.shared[joined],
        between.token_bytes[joined],
    )
