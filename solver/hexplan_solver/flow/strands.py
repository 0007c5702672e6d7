"""Strands: amounts of flow on their way through the stages, each with the strand it comes from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from hexplan_solver.flow.routes import Path


@dataclass(frozen=True, slots=True, eq=False)
class Strand:
    """An amount of flow, where it is, and the strand that it comes from."""

    amount: int
    stage: int
    before: Strand | None

    def cut(self, amount: int) -> Strand:
        """Return a part of it."""
        return Strand(amount, self.stage, self.before)

    def chain(self) -> tuple[int, ...]:
        """Return the stages from entry on."""
        stages, strand = [], self
        while strand.before is not None:
            stages.append(strand.stage)
            strand = strand.before
        return tuple(reversed(stages))


def paths_of_strands(arrived: Iterable[Strand]) -> tuple[Path, ...]:
    """Return the routes of strands that reached the end, the largest first."""
    amounts: dict[tuple[int, ...], int] = defaultdict(int)
    for strand in arrived:
        amounts[strand.chain()] += strand.amount
    found = (Path(stages, amount) for stages, amount in amounts.items())
    return tuple(sorted(found, key=lambda path: (-path.amount, path.stages)))
