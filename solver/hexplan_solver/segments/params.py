"""Constants of the search by segments that a person may want to change."""

from __future__ import annotations

from dataclasses import dataclass

from hexplan_solver.milp import Patience


@dataclass(frozen=True, slots=True)
class SegmentParams:
    """How the search by segments spends its time.

    All values were chosen by trial on the example specs, where nothing else is said.
    """

    max_targets: int = 12
    """Targets tried for each length of lanes."""
    sure: float = 0.98
    """Share of the target that the relaxation promises at which whole segments are tried first."""
    sure_of_lanes: float = 0.988
    """The same if lanes may have several stages: they leave less to rounding."""
    onward: float = 0.4
    """Share of the gap between a known flow and its bound that is tried first with zone bands."""
    first_step: float = 0.004
    """Share by which a target that was too large is lowered at first; it doubles each time."""
    close: float = 0.001
    """The search ends once it knows the best target to this share of the bound."""
    good_enough: float = 0.995
    """Share of the bound from which lanes of several stages are not tried."""
    near: float = 0.95
    """Share of the bound from which lanes of several stages are tried at once."""
    few_hosts: int = 40
    """With more hosts, saving a few stages is not worth a second MILP."""
    longest_lane: int = 8
    """Most stages of a lane."""
    max_lanes: int = 512
    """Most sorts of lanes in one knapsack: its time grows with their number."""
    max_lanes_with_trunks: int = 128
    """The same if sites share trunks, as lanes cross them between their stages."""

    rounds: int = 60
    """Rounds of pricing on one grid of steps."""
    least_gain: float = 1e-6
    """Layers that a segment must bring beyond its price to be added: the LP's tolerance."""
    stall_rounds: int = 5
    """Pricing ends if this many rounds together bring less than `stall_layers`."""
    stall_layers: float = 0.02
    """Layers that `stall_rounds` rounds must bring."""
    enough_layers: float = 1.02
    """With a zone band, pricing ends once this many times the model's layers can be held."""
    end_penalty: float = 1e4
    """Layers that leaving out the first or the last layer costs; any model has far fewer."""
    variations: int = 8
    """Rounds of pricing at varied prices, for segments that help whole numbers."""
    variation: float = 0.15
    """Largest share by which prices are varied."""
    nearly: float = 0.5
    """Layers by which a segment may miss its price and still be added at varied prices."""
    tie: float = 1e-9
    """Prices are raised by this share of a stage's worth, so that free stages are not wasted."""

    coarse_steps: int = 150
    """Steps of the target in the first rounds of pricing."""
    fine_steps: int = 600
    """Steps of the target in the last rounds of pricing."""
    shortfall: float = 0.002
    """Share by which a cover may miss the target: about one fine step."""
    usable_exchange: float = 0.8
    """Share of what all links between zones carry that a placement can hope to use."""

    all_layers: Patience = Patience(3000, 3000, 0.0)
    """For the MILP that holds as many layers as it can."""
    few_stages: Patience = Patience(100, 5, 0.02)
    """For the MILP that then holds all layers with few stages."""

    @property
    def step_grids(self) -> tuple[int, int]:
        """Steps of the target, first coarse and then fine."""
        return self.coarse_steps, self.fine_steps


SEGMENT_PARAMS = SegmentParams()
