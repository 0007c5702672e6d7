"""Constants of the problem's construction that a person may want to change."""

from __future__ import annotations

from dataclasses import dataclass

from hexplan.constants import MAX_PARTITIONS


@dataclass(frozen=True, slots=True)
class ProblemParams:
    """How finely the choices of the search are listed.

    The values were chosen by trial on the example specs.
    """

    max_partitions: int = MAX_PARTITIONS
    """If a host has more partitions than this, groups of mixed device types are left out."""
    max_join_choices: int = 16
    """Choices of hosts to join that are tried, beside joining none: each is a solve of its own."""
    ample_exchange: int = 2
    """Sites that can exchange this many times the flow, in both directions, are one zone."""


PROBLEM_PARAMS = ProblemParams()
