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


BoundProof = Annotated[
    CoordinatorProof | WorkProof,
    Field(discriminator="kind"),
]
"""What proves a bound; `check` recomputes it."""

TrustedKind = Literal["pattern", "coverage", "crossing", "zone", "link", "joins", "before"]
"""What a trusted bound is: see `TRUSTED_WORDS`."""

TRUSTED_WORDS: dict[TrustedKind, str] = {
    "pattern": "pattern bound: LP duals, each priced against every pattern of a layer",
    "coverage": "coverage bound: dual bound of the coverage MILP",
    "crossing": "crossing bound: the work of hosts that pass no more than they serve and exchange",
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
