"""Why a plan is as it is, and what would make it better."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field

from hexplan.cluster import Parallel
from hexplan.field_types import Exact, Range
from hexplan.frozen_model import FrozenModel
from hexplan.plan import Phase
from hexplan.techniques import Chosen

Group = tuple[str, ...]
"""Device types of one stage."""


class Binding(FrozenModel):
    """A capacity of the cut: it is used up, and every request needs a part of it."""

    constraint: str
    """`stage:s1`, `link:s1>s2`, `pair:HOST>HOST`, `nic-out:HOST`, `nic-in:HOST` or
    `trunk:SOURCE>TARGET`."""
    subject: str
    """The same in words."""
    capacity: Exact
    """In tokens/s for a stage or link, in bytes/s for a NIC or trunk."""
    price: Exact
    """How much flow one more unit would bring on this placement, for a little more of it."""
    share: Exact
    """Price times capacity over the flow; the shares of all sum to about 1."""
    alone_tokens_per_s: Exact
    """More flow if it alone were twice as large, the stages where they are; 0 where others bind.

    For a link, all links under its rule.
    """


How = Literal["re-solve", "new routes", "bound alone"]
"""Where a gain comes from: a new search, new routes over the same stages, or no plan at all."""


class Gain(FrozenModel):
    """What one change of the cluster would bring."""

    kind: Literal["host", "device", "link", "nic", "trunk"]
    """What changes."""
    change: str
    """In words."""
    found_tokens_per_s: Exact | None
    """More flow, as a plan was found that has it; nothing where none was sought."""
    how: How
    """Where that plan comes from."""
    at_most_tokens_per_s: Exact
    """More flow, at most, whatever the placement: proved."""


class IdleDevices(FrozenModel):
    """Devices of one type that the plan leaves out for one reason."""

    device: str
    """Device type."""
    count: int
    """How many."""
    hosts: tuple[str, ...]
    """Where they are."""
    reason: str
    """In words."""
    places_tried: int
    """Ranges of layers tried for them on one host, all other stages left as they are."""
    best_layers: Range | None
    """The best of these ranges, where it raises the flow."""
    best_gain_tokens_per_s: Exact
    """How much that brings; 0 where none does."""


Arrangement = Literal["in turn", "side by side", "joined"]
"""How stages stand that a host's devices could form instead."""


class DegreeOption(FrozenModel):
    """Another way to use the devices of one stage."""

    groups: tuple[Group, ...]
    """Stages that they would form."""
    layers: tuple[int, ...]
    """Layers that each of them would hold."""
    arrangement: Arrangement
    """The layers shared out, all layers on each, or joined with the host's other stages."""
    tokens_per_s: Exact | None
    """What they would pass together; nothing where it cannot be."""
    stopped: str | None
    """Why it cannot be."""
    parallel: tuple[Parallel, ...] = ()
    """How each group would share its work; nothing where it cannot be."""
    sp_degrees: Annotated[
        tuple[int | None, ...], Field(exclude_if=lambda degrees: not any(degrees))
    ] = ()
    """The SP degree of each group, where that is not the number of its devices."""


class Degree(FrozenModel):
    """The tensor-parallel degree of one kind of stage, and its alternatives."""

    stages: tuple[str, ...]
    """Stages of this kind with as many layers."""
    group: Group
    """Devices of each."""
    layers: Range
    """What the first of them holds."""
    tokens_per_s: Exact
    """What each passes."""
    options: tuple[DegreeOption, ...]
    """Alternatives, best first."""
    parallel: Parallel = "tp"
    """How the devices of each share its work."""
    sp_degree: Annotated[int | None, Field(exclude_if=lambda degree: degree is None)] = None
    """Their SP degree, if that is not their number."""


class PhaseStages(FrozenModel):
    """The stages that serve one phase, where stages differ in that."""

    phase: Phase
    stages: tuple[str, ...]


class GapPart(FrozenModel):
    """A step between the flow and the bound."""

    what: str
    """In words."""
    tokens_per_s: Exact
    """How much of the gap it is."""


class EngineCost(FrozenModel):
    """What it costs that the plan keeps to what its engine runs."""

    engine: str
    """The engine, as people call it."""
    flow_tokens_per_s: Exact
    """The largest flow that was found for the engine."""
    free_tokens_per_s: Exact
    """The largest flow that was found for an engine that runs every plan."""
    obstacles: tuple[str, ...]
    """What the engine cannot run of the plan with that flow, place by place; none if it can."""

    @property
    def lost(self) -> Decimal:
        """The share of the free flow that the engine lacks."""
        return 1 - self.flow_tokens_per_s / self.free_tokens_per_s


class Explanation(FrozenModel):
    """Why a plan is as it is."""

    version: Literal[1] = 1
    """Version of this format."""
    flow_tokens_per_s: Exact
    """The largest flow of the plan's stages."""
    sent_tokens_per_s: Exact | None = None
    """What the plan sends, if it is made for a rate below that flow."""
    bound_tokens_per_s: Exact
    """No plan for this cluster has a larger flow."""
    bound_proof: str
    """How that was proved."""
    work_bound_tokens_per_s: Exact
    """What the devices could pass if layers could be shared out evenly and links were no matter."""
    gap_parts: tuple[GapPart, ...]
    """From the flow to the bound; none where they are equal."""
    bottleneck: tuple[Binding, ...]
    """What is used up."""
    gains: tuple[Gain, ...]
    """What a change of the cluster would bring."""
    idle: tuple[IdleDevices, ...]
    """What is left out, and why."""
    degrees: tuple[Degree, ...]
    """Why each stage has its tensor-parallel degree."""
    phases: Annotated[tuple[PhaseStages, ...], Field(exclude_if=lambda phases: not phases)] = ()
    """The stages of each phase, where they differ in that; all else is about them undivided."""
    engine: EngineCost | None = None
    """What the engine costs, if it does not run every plan and plans were searched."""
    techniques: Annotated[tuple[Chosen, ...], Field(exclude_if=lambda chosen: not chosen)] = ()
    """What came of techniques that were to be used only where they pay."""
