"""Constants of the search over the links that a person may want to change."""

from __future__ import annotations

from dataclasses import dataclass

from hexplan_solver.milp import Patience


@dataclass(frozen=True, slots=True)
class LinkParams:
    """How the search for a placement that suits the links spends its time.

    Where nothing else is said, the values were chosen by trial on the example specs, and on
    generated clusters of 64 to 256 devices whose sites share trunks (docs/decisions, 5, 8 and 10).
    Each `..._share` of time is a share of the time that is left when that part begins.
    """

    bound_share: float = 0.2
    """Share of time for the zone bound."""
    exact_share: float = 0.6
    """Share of time for the MILP over placement and flow."""
    close: float = 1e-3
    """The search ends once no more than this share of the bound is left to gain."""
    early_share: float = 0.4
    """Share of time for walks from the quick starts, before starts that take long."""

    max_candidates: int = 220
    """With more possible stages, the MILP over placement and flow is not tried: its size grows with
    the square of their number."""
    max_arcs: int = 6_000
    """The same for the arcs between them."""

    arrange_share: float = 0.3
    """Share of time for arranging the placements that were made without links."""
    segments_share: float = 0.15
    """Share of time for more segments to arrange."""
    banded_share: float = 0.3
    """Share of time for segments with zone bands."""
    grouping_share: float = 0.3
    """Share of time for groups of sites that serve by themselves."""
    arrangements: int = 16
    """Seeds from which a placement is arranged."""
    arrangements_if_zoned: int = 1
    """The same where there are zones, which keep the placement from its flow anyway."""
    far: float = 0.9
    """Where there are zones, and the links pass less than this share of a placement's flow, no
    more placements that ignore the zones are arranged (docs/decisions, 8)."""
    good_enough: float = 0.97
    """Share of the bound from which no other starts are looked for."""
    max_paths: int = 20
    """If nothing else is found, one route is looked for on this many paths through the places."""
    hopeful: float = 0.5
    """No local search starts from a placement with less than this share of the best flow."""

    arrange_steps: int = 6_000
    """Changes of an arrangement that are tried: they take a tenth of a second."""
    arrange_steps_per_stage: int = 300
    """The same for each stage where sites share trunks, as all boundaries then count together."""
    max_arrange_steps: int = 60_000
    """The most of them."""
    arrange_cooling: float = 0.1
    """At first a change may lose about this share of the wanted flow at one boundary; at the end
    it may lose nothing."""
    clock_every: int = 16
    """Changes of an arrangement between two looks at the clock."""

    balanced_slacks: tuple[float, ...] = (0.02, 0.1, 0.2, 0.4)
    """Shares of its part of the flow that a zone may lack in balancing; all are tried."""
    balanced_losses: tuple[float, ...] = (0.04, 1.0)
    """Shares of its work that a stage may lose to lie where it is needed most; all are tried."""
    bands: tuple[float, ...] = (0.3, 0.5)
    """Shares of what links carry between zones that are given to the zone bands; the rest is for
    single segments outside them. With 0.8, arranging lost up to 9 % (docs/decisions, 8)."""
    band_shares: tuple[float, ...] = (0.9, 1.0)
    """Share of the time left to zone bands that each of `bands` may take."""

    max_grouped_parts: int = 4
    """With more zones or sites, each serves by itself; else every grouping of them is tried."""
    max_grouped_hosts: int = 40
    """The same for more hosts."""
    group_start_share: float = 0.6
    """Share of a group's time for its first placement; the rest is for improving it."""

    alone_share: float = 0.1
    """Share of time for hosts and sites that serve by themselves."""
    max_chained_sites: int = 5
    """With more sites, no rows of them are tried: their number grows with its factorial."""
    chain_halvings: int = 12
    """Sites in a row: steps of the bisection on the flow."""
    chain_share: float = 0.15
    """Share of time for sites in a row."""

    pair_bases: tuple[float, ...] = (0.3, 0.6, 0.8)
    """Zone pair: shares of its work bound that the smaller zone may pass on all layers, besides
    nothing."""
    pair_transfers: tuple[float, ...] = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.6, 0.5)
    """Zone pair: shares of what links carry between the zones that are sent. If less is sent, the
    smaller zone can hold more layers; on `two-datacentres` 0.85 was best (docs/decisions, 8)."""
    pair_halvings: int = 10
    """Zone pair: steps of the bisection on the larger zone's base flow."""
    pair_milp_s: float = 3.0
    """Zone pair: most seconds of one MILP."""
    pair_patience: Patience = Patience(300, 100, 0.01)
    """Zone pair: when to end one MILP."""

    first_walks: int = 4
    """Local search: most walks from starts of their own; later ones go on from the best two."""
    first_steps: int = 500
    """Local search: steps of each of the first walks. Counts, so that two runs that end before
    their time limit end alike. Each later walk has half as many steps again as the one before..."""
    longest_steps: int = 20_000
    """...and those above this many are not taken."""
    max_walks: int = 100
    """Local search: more walks than there ever are, so that each has a seed of its own."""
    patience: int = 4_000
    """Local search: after this many changes without a better placement, it goes back to its
    best."""
    later_warmth: float = 0.5
    """Local search: share of the usual losses that the later walks accept."""
    cooling: float = 0.02
    """Local search: a loss of this share of the flow is accepted now and then at first, and none
    at the end."""
    rarity: int = 4
    """Local search: accepted losses go with a uniform number to this power, so that large ones
    are rare."""

    limiting_resized: float = 0.6
    """Local search: probability that the stage to be resized is one that limits the flow. This and
    the next two raised `odd12-qwen` by 5 to 7 % at equal steps (2 seeds; without: 29,200)."""
    limiting_moved: float = 0.3
    """Local search: the same for a stage that is moved to another..."""
    limiting_met: float = 0.7
    """...and for the one that it is moved to."""


LINK_PARAMS = LinkParams()
