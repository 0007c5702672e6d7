"""One row of a table of objectives: hexplan's plan, and the best uniform configuration."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """The figures of one cluster."""

    hexplan: float
    uniform: float
    name: str
    """The best uniform configuration."""
    count: int
    """Uniform configurations that carry a flow."""
    is_time: bool = False
    """Whether less is better."""
    note: str = ""
    """For `balanced`, the latencies of hexplan's plan as a share of those allowed."""

    @property
    def ratio(self) -> float:
        """How much better hexplan's plan is: 1 if both are equal."""
        better, worse = self.hexplan, self.uniform
        if self.is_time:
            better, worse = worse, better
        return better / worse if worse else float("inf")

    def cells(self) -> list[str]:
        """Return the cells after the cluster and the objective."""
        best = f"{self.uniform:.4g}" if self.name != NONE else "none"
        ratio = f"{self.ratio:.2f}" if self.name != NONE else ""
        return [f"{self.hexplan:.4g}", best, self.name, str(self.count), ratio, self.note]


NONE = ""
"""The name of the best configuration where there is none."""
