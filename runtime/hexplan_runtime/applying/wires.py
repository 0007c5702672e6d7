"""Wires: which edges a launch has, by numbers that are never given twice."""

from __future__ import annotations

from collections.abc import Collection

from hexplan.plan import Plan
from hexplan_runtime.stage.edges import numbered
from hexplan_runtime.stage.messages import EdgePlace
from hexplan_runtime.stage.topology import launch_edges, returns_directly, route_edges, route_ends


class Wires:
    """The edges of a launch.

    Parameters
    ----------
    edges
        Those that there are now; those of the plan's routes if empty.
    """

    def __init__(self, plan: Plan, edges: tuple[EdgePlace, ...]) -> None:
        self.edges = edges or numbered(launch_edges(plan))
        """Those that there are now."""
        self._next = 1 + max((edge.number for edge in self.edges), default=-1)

    def add(self, plan: Plan, routes: Collection[int]) -> tuple[EdgePlace, ...]:
        """Return the edges that routes need and that were not there yet, with new numbers."""
        known = {edge.ends for edge in self.edges}
        new = []
        for source, target in needed_edges(plan, routes):
            if (source, target) not in known:
                place = EdgePlace(number=self._next, source=source, target=target, is_added=True)
                new.append(place)
                self._next += 1
        self.edges += tuple(new)
        return tuple(new)

    def keep(self, plan: Plan, routes: Collection[int]) -> None:
        """Forget the edges that none of these routes needs."""
        needed = set(needed_edges(plan, routes))
        self.edges = tuple(edge for edge in self.edges if edge.ends in needed)


def needed_edges(plan: Plan, routes: Collection[int]) -> tuple[tuple[str, str], ...]:
    """Return the edges of routes, and the ways back of their tokens."""
    found = [edge for route in routes for edge in route_edges(plan, route)]
    for route in routes:
        first, last = route_ends(plan, route)
        if first != last and returns_directly(plan, route):
            found.append((last, first))
    return tuple(dict.fromkeys(found))
