"""Kinds that segments and patterns need not tell apart, and how many groups hosts can form."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hexplan_solver.problem.problem import Problem


@dataclass(frozen=True, slots=True)
class RateClasses:
    """Kinds of equal rates, taken together."""

    kinds: tuple[tuple[int, ...], ...]
    """For each rate class, its kinds."""
    of_kind: tuple[int, ...]
    """For each kind, its rate class."""

    @classmethod
    def of(cls, problem: Problem, zone_of: Mapping[str, int] | None = None) -> RateClasses:
        """Group the kinds of a problem by their rates, and by zones if hosts have them."""
        by_rates: dict[object, list[int]] = {}
        for kind in problem.kinds:
            zone = problem.zone_of(kind.index, zone_of or {})
            by_rates.setdefault((kind.rates, zone), []).append(kind.index)
        groups = tuple(tuple(kinds) for kinds in by_rates.values())
        of_kind = {kind: index for index, kinds in enumerate(groups) for kind in kinds}
        return cls(groups, tuple(of_kind[kind.index] for kind in problem.kinds))

    def __len__(self) -> int:
        """Return the number of rate classes."""
        return len(self.kinds)


@dataclass(frozen=True, slots=True)
class GroupSupply:
    """The rows that every relaxation has: which groups the hosts can form.

    There is one column for each partition of each set of like hosts. First come the rows of the
    rate classes, whose entries are the groups formed, negated; then those of the sets of hosts.
    Hosts are alike if they form the same rate classes, whatever their site.
    """

    matrix: NDArray[np.float64]
    limits: NDArray[np.float64]
    """Of each row: 0 for a rate class, the number of hosts for a set of hosts."""

    @classmethod
    def of(cls, problem: Problem, classes: RateClasses) -> GroupSupply:
        """List the groups that one host of each set forms under each partition."""
        alike: Counter[tuple[tuple[tuple[int, int], ...], ...]] = Counter()
        for host_class in problem.classes:
            partitions = (((classes.of_kind[k], n) for k, n in p) for p in host_class.partitions)
            alike[tuple(tuple(partition) for partition in partitions)] += len(host_class.hosts)
        num_columns = sum(map(len, alike))
        matrix = np.zeros((len(classes) + len(alike), num_columns))
        column = 0
        for row, partitions_of_host in enumerate(alike, len(classes)):
            for partition in partitions_of_host:
                for rate_class, count in partition:
                    matrix[rate_class, column] -= count
                matrix[row, column] = 1
                column += 1
        return cls(matrix, np.array([0.0] * len(classes) + [float(n) for n in alike.values()]))
