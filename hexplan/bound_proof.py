"""Certificates and proofs: what a plan states so that `check` can recompute its bound on flows.

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


class ZoneProof(FrozenModel):
    """Prices for every share that each zone can have of the flow, where little passes between them.

    The least flow that runs in each zone, over all layers, lies between 0 and the zone's `most`:
    in a box with a side for each zone. A box is ruled out, or halved at its widest side.
    """

    kind: Literal["zone"] = "zone"
    """Which bound it is."""
    zones: tuple[tuple[str, ...], ...]
    """Sites that are taken together."""
    most_tokens_per_s: tuple[Exact, ...]
    """For each zone, no less than it can pass by itself, or than the bound."""
    prices: tuple[tuple[GroupPrice, ...], ...]
    """Lists of prices; a price holds for like groups of the hosts of one zone."""
    boxes: tuple[int, ...]
    """What is done with each box, the upper half of one before its lower half: the position in
    `prices` of a list that rules it out, `-1` if it is halved, `-2` if no flows fit into it."""

    @property
    def sentence(self) -> str:
        """What proves the bound, in words."""
        shares = f"{len(self.boxes)} boxes of shares" if len(self.boxes) > 1 else "every share"
        return f"zone bound: prices of groups, for {shares} that zones can have of the flow"


BoundProof = Annotated[
    CoordinatorProof | WorkProof | PatternProof | CrossingProof | ZoneProof,
    Field(discriminator="kind"),
]
"""What proves a bound; `check` recomputes it."""

TrustedKind = Literal["layered", "coverage", "link", "joins", "before"]
"""What a trusted bound is: see `TRUSTED_WORDS`."""

TRUSTED_WORDS: dict[TrustedKind, str] = {
    "layered": "layered bound: linear program over what hosts pass at each layer and exchange",
    "coverage": "coverage bound: dual bound of the coverage MILP",
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


class CutTerm(FrozenModel):
    """A capacity in the cut."""

    constraint: str
    """`stage:s1`, `link:s1>s2`, `pair:HOST>HOST`, `nic-out:HOST`, `nic-in:HOST` or
    `trunk:SOURCE>TARGET`."""
    price: Exact
    """How much flow one more unit of this capacity would add; 1 in a plain cut."""
    capacity: Exact
    """The capacity, in tokens/s for a stage or link, in bytes/s for a NIC or trunk."""


class Certificate(FrozenModel):
    """Proof that no flow on this placement is larger, and by how much one on another could be."""

    flow_tokens_per_s: Exact
    """The value of the flow."""
    cut: tuple[CutTerm, ...]
    """Priced capacities that every route must cross, paying at least 1 per token."""
    cut_tokens_per_s: Exact
    """Sum of price times capacity: an upper bound on the flow of this placement."""
    bound_tokens_per_s: Exact
    """No placement on this cluster has a larger flow; `check` recomputes it."""
    proof: BoundProof
    """What proves the bound."""
    gap: Exact
    """`(bound - flow) / flow`, rounded up."""
    trusted: TrustedBound | None = None
    """A bound that rests on trust in a program, if the search has a lower one."""
    status: str
    """How far the search got, such as `optimal` or `feasible`."""
    cost_bound_usd_per_h: Exact | None = None
    """A lower bound on the cost of carrying the workload's rate, if the objective is cost; above 0,
    it rests on trust in a MILP solver."""
    cost_gap: Exact | None = None
    """`(cost - bound) / bound`, rounded up; null if the bound is 0."""
    cost_proof: str | None = None
    """What the bound on the cost rests on."""
