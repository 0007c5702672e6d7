"""Partial paths: flow on its way from entry to exit, and the stages that it has passed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from hexplan_solver.flow.routes import Path


@dataclass(frozen=True, slots=True, eq=False)
class PartialPath:
    """An amount of flow in a stage, and the partial path by which it came there."""

    amount: int
    """In 1e-6 tokens/s."""
    stage: int
    """Position of the stage that it is in, or `OUTSIDE` at entry."""
    before: PartialPath | None
    """None at entry. Several partial paths may share what comes before."""

    def part(self, amount: int) -> PartialPath:
        """Return a part of the flow."""
        return PartialPath(amount, self.stage, self.before)

    def stages(self) -> tuple[int, ...]:
        """Return the stages passed, in order."""
        stages, path = [], self
        while path.before is not None:
            stages.append(path.stage)
            path = path.before
        return tuple(reversed(stages))


def completed_paths(arrived: Iterable[PartialPath]) -> tuple[Path, ...]:
    """Add up what reached the exit by the same stages; return the paths, the largest first."""
    amounts: dict[tuple[int, ...], int] = defaultdict(int)
    for path in arrived:
        amounts[path.stages()] += path.amount
    found = (Path(stages, amount) for stages, amount in amounts.items())
    return tuple(sorted(found, key=lambda path: (-path.amount, path.stages)))
