"""The decode rates that Helix's artifact states, and what has to be simulated to compare.

The figures are those of its ae_readme.md at 148b733, the loads those of its step3_simulation.py;
the chain of 24 is the optimum of the static flow, run in the artifact's simulator.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from support.published_pipelines import SINGLE24_30B, Published, published_pipeline
from support.published_traffic import published_arrivals, published_lengths

from hexplan_solver.simulate import (
    WHOLE,
    Closed,
    Offline,
    Reservation,
    Traffic,
    Window,
    simulate,
)

OFFLINE, ONLINE = Window(660.0, 60.0), Window(1800.0, 0.0)
WAITING = replace(WHOLE, reservation=Reservation(144, 0.9, is_measured=True))
"""Helix's parameters for arrivals in time."""
UNCHECKED = replace(WHOLE, reservation=Reservation(240, 1.0, is_measured=True))
"""Without Helix's KV estimate, as its simulator runs the other methods."""
SWARM = replace(UNCHECKED, routing="responses")
POLICIES = {"SWARM": (SWARM, SWARM), "separate": (UNCHECKED, UNCHECKED)}
"""Offline and online, by method; the rest goes as Helix."""


@dataclass(frozen=True)
class Case:
    """Pipelines that run side by side, and the decode tokens/s that were published for them."""

    method: str
    published: float
    pipelines: tuple[Published, ...]
    loads: tuple[int, ...]
    """Of each pipeline: requests at a time, or prompt and output tokens/s that arrive; none means
    as many requests as the KV cache takes."""
    is_online: bool

    @property
    def name(self) -> str:
        """What it is, in words."""
        return f"{self.method}, {'online' if self.is_online else 'offline'}"

    def decode_tokens_per_s(self) -> float:
        """Simulate every pipeline, and sum the rates."""
        policy = POLICIES.get(self.method.split(", ")[1], (WHOLE, WAITING))[self.is_online]
        window = ONLINE if self.is_online else OFFLINE
        return sum(
            simulate(published_pipeline(what), traffic, policy, window).decode_tokens_per_s
            for what, traffic in zip(self.pipelines, self._traffic(), strict=True)
        )

    def _traffic(self) -> Sequence[Traffic]:
        if self.is_online:
            return [published_arrivals(rate) for rate in self.loads]
        lengths = published_lengths()
        closed = [Closed(lengths, population) for population in self.loads]
        return closed or [Offline(lengths, turns_away=True)] * len(self.pipelines)


def _alone(spec: str, method: str) -> tuple[Published, ...]:
    return (Published(spec, method, is_open=method == "swarm"),)


def _by_kind(spec: str, method: str) -> tuple[Published, ...]:
    """Return a pipeline for each kind of machine, of one spec or, with {}, of one for each."""
    return tuple(
        Published(spec.format(kind), method, "" if "{}" in spec else kind)
        for kind in ("a100", "l4", "t4")
    )


SINGLE, KIND, GEO = (
    "helix-single24-llama70b",
    "helix-single24-{}-llama30b",
    "helix-geo24-llama30b",
)
FED = ()
OFFLINE_CASES = (
    ("single24 70B, Helix", 252.1, _alone(SINGLE, "helix"), FED),
    ("single24 70B, chain of 24", 220.5, _alone(SINGLE, "chain"), FED),
    ("single24 70B, SWARM", 124.7, _alone(SINGLE, "swarm"), (180,)),
    ("single24 70B, separate", 124.3, _by_kind(SINGLE, "separate"), (18, 40, 3)),
    ("single24 30B, Helix", 339.6, _by_kind(KIND, "helix"), FED),
    ("single24 30B, SWARM", 151.6, _alone(SINGLE24_30B, "swarm"), (50,)),
    ("single24 30B, separate", 309.0, _by_kind(KIND, "separate"), (30, 25, 25)),
    ("geo24 30B, Helix", 232.7, _by_kind(GEO, "helix"), FED),
    ("geo24 30B, SWARM", 98.7, _alone(GEO, "swarm"), (60,)),
    ("geo24 30B, separate", 223.2, _by_kind(GEO, "separate"), (35, 40, 40)),
)
ONLINE_CASES = (
    ("single24 70B, Helix", 141.6, _alone(SINGLE, "helix"), (700,)),
    ("single24 70B, SWARM", 69.8, _alone(SINGLE, "swarm"), (350,)),
    ("single24 70B, separate", 84.0, _by_kind(SINGLE, "separate"), (240, 120, 10)),
    ("single24 30B, Helix", 216.7, _by_kind(KIND, "helix"), (600, 200, 170)),
    ("single24 30B, SWARM", 104.9, _alone(SINGLE24_30B, "swarm"), (450,)),
    ("single24 30B, separate", 189.8, _by_kind(KIND, "separate"), (500, 150, 150)),
    ("geo24 30B, Helix", 183.5, _by_kind(GEO, "helix"), (560, 140, 140)),
    ("geo24 30B, SWARM", 82.1, _alone(GEO, "swarm"), (380,)),
    ("geo24 30B, separate", 173.8, _by_kind(GEO, "separate"), (520, 100, 140)),
)
CASES = tuple(
    Case(method, published, pipelines, loads, is_online)
    for cases, is_online in ((OFFLINE_CASES, False), (ONLINE_CASES, True))
    for method, published, pipelines, loads in cases
)
