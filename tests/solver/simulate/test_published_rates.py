"""With the published scheduler, published placements serve what was published.

The figures are those of the Helix artifact (ae_readme.md at 148b733): decode tokens/s, offline,
60 s left out and 600 s measured. Half a minute each; `benchmarks/simulator.py` prints all of them.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.published_pipelines import Published, published_lengths, published_pipeline

from hexplan_solver.simulate import (
    WHOLE,
    Closed,
    Offline,
    Policy,
    Reservation,
    Traffic,
    Window,
    simulate,
)

SINGLE, GEO = "helix-single24-llama70b", "helix-geo24-llama30b"
KINDS = ("a100", "l4", "t4")
OFFLINE = Offline(published_lengths())


def _rate(what: Published, traffic: Traffic = OFFLINE, policy: Policy = WHOLE) -> float:
    outcome = simulate(published_pipeline(what), traffic, policy, Window(660.0, 60.0))
    return outcome.decode_tokens_per_s


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "published"),
    [
        ("helix", 252.1),
        ("chain", 220.5),  # the optimum of the static flow, in the artifact's own simulator
    ],
)
def test_one_site_with_llama_70b(method: str, published: float) -> None:
    assert _rate(Published(SINGLE, method)) == pytest.approx(published, rel=0.03)


@pytest.mark.slow
def test_swarm_s_placement_with_even_shares_and_180_requests() -> None:
    policy = replace(WHOLE, reservation=Reservation(240, 1.0, is_measured=True))
    what = Published(SINGLE, "swarm", is_even=True)
    rate = _rate(what, Closed(published_lengths(), 180), policy)
    assert rate == pytest.approx(124.7, rel=0.03)


@pytest.mark.slow
def test_three_pipelines_of_one_kind_with_llama_30b() -> None:
    rates = [_rate(Published(f"helix-single24-{kind}-llama30b", "helix")) for kind in KINDS]
    assert sum(rates) == pytest.approx(339.6, rel=0.03)


@pytest.mark.slow
def test_three_pipelines_across_three_regions() -> None:
    rates = [_rate(Published(GEO, "helix", kind)) for kind in KINDS]
    assert sum(rates) == pytest.approx(232.7, rel=0.03)
