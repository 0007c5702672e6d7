"""Proofs of bounds: what a plan states so that `check` can recompute its bound on every flow.

See docs/formulation.md 8 and docs/decisions/0014-proofs.md.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hexplan.field_types import Exact
from hexplan.frozen_model import FrozenModel


class CoordinatorProof(FrozenModel):
    """No more flows than the coordinator's network card passes."""

    kind: Literal["coordinator"] = "coordinator"
    """Which bound it is."""

    @property
    def sentence(self) -> str:
        """What proves the bound, in words."""
        return "coordinator bound: what the coordinator's network card can carry"


class WorkProof(FrozenModel):
    """No more flows than the hosts can do the work for, however they are grouped."""

    kind: Literal["work"] = "work"
    """Which bound it is."""

    @property
    def sentence(self) -> str:
        """What proves the bound, in words."""
        return "work bound: the work that all hosts can do, over all layer counts"


class GroupPrice(FrozenModel):
    """What one group of devices is worth in a pattern proof."""

    host: str
    """A host that can form the group; the price holds for like groups of all hosts."""
    devices: tuple[str, ...]
    """Its device types, in the order of their names."""
    price: Exact
    """What the group is worth, in layers; a stage of k layers pays 1/k of it in each."""


class PatternProof(FrozenModel):
    """Prices at which the stages that hold one layer pay so much that the hosts lack the groups."""

    kind: Literal["pattern"] = "pattern"
    """Which bound it is."""
    prices: tuple[GroupPrice, ...]
    """Of every group that the hosts can form; one that is not listed costs nothing."""

    @property
    def sentence(self) -> str:
        """What proves the bound, in words."""
        count = len(self.prices)
        groups = f"{count} group" if count == 1 else f"{count} groups"
        return f"pattern bound: prices of {groups}, at which the hosts cannot pay all layers"


class CrossingProof(FrozenModel):
    """Hosts and zones do no more work than what they serve alone and what crosses their borders."""

    kind: Literal["crossing"] = "crossing"
    """Which bound it is."""
    zones: tuple[tuple[str, ...], ...] = ()
    """Sites that are taken together; what crosses between two zones limits both."""

    @property
    def sentence(self) -> str:
        """What proves the bound, in words."""
        return "crossing bound: the work of hosts that pass no more than they serve and exchange"


BoundProof = Annotated[
    CoordinatorProof | WorkProof | PatternProof | CrossingProof,
    Field(discriminator="kind"),
]
"""What proves a bound; `check` recomputes it."""

TrustedKind = Literal["coverage", "zone", "link", "joins", "before"]
"""What a trusted bound is: see `TRUSTED_WORDS`."""

TRUSTED_WORDS: dict[TrustedKind, str] = {
    "coverage": "coverage bound: dual bound of the coverage MILP",
    "zone": "zone bound: LP duals, over every share that a site can have of the flow",
    "link": "link bound: dual bound of the MILP over placement and flow",
    "joins": "the largest bound over all ways to join hosts",
    "before": "bound of the plan before, for more devices",
}


class TrustedBound(FrozenModel):
    """A bound that `check` cannot recompute: it is as right as the program that stated it."""

    tokens_per_s: Exact
    """No plan has a larger flow, if the program is right."""
    gap: Exact
    """`(bound - flow) / flow`, rounded up."""
    kind: TrustedKind
    """Which bound it is (docs/formulation.md 8)."""
    by: str
    """The program whose answer is trusted, and its version, such as `HiGHS 1.12.0`."""

    @property
    def sentence(self) -> str:
        """What the bound rests on, in words."""
        return f"{TRUSTED_WORDS[self.kind]} (trusted: {self.by})"
