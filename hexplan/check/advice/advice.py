"""What an advice is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Advice:
    """What a person who has broken a rule wants to know."""

    why: str
    """What goes wrong if the rule does not hold."""
    mend: str
    """What to do about it."""


SOLVE_AGAIN = "Solve again; a plan that was changed by hand states what the new numbers give."
"""For figures that follow from others."""
CHANGE_SPEC = "Mend the cluster.yaml and solve again."
"""For facts that a plan takes over from its spec."""
