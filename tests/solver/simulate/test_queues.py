"""A pipeline of single servers behaves as queueing theory says (Kleinrock, vol. 1)."""

from __future__ import annotations

import math
import random

import pytest
from support.pipelines import ONE_BY_ONE, RandomSteps, SteadySteps, chain

from hexplan_solver.simulate import FixedLengths, Outcome, PipelineModel, Poisson, Window, simulate

PROMPTS_ONLY = FixedLengths(1, 1)


def _run(pipeline: PipelineModel, rate: float, horizon_s: float) -> Outcome:
    window = Window(horizon_s, 2_000.0, snapshots=10_000)
    return simulate(pipeline, Poisson(rate, PROMPTS_ONLY), ONE_BY_ONE, window)


def _stay_s(outcome: Outcome) -> float:
    assert outcome.e2e is not None
    return outcome.e2e.mean_s


@pytest.fixture(scope="module")
def m_m_1() -> Outcome:
    """One exponential server of mean 1 s at a load of 0.5."""
    return _run(chain(RandomSteps(1.0)), 0.5, 150_000.0)


def test_m_m_1_stays_as_long_as_theory_says(m_m_1: Outcome) -> None:
    assert _stay_s(m_m_1) == pytest.approx(1 / (1 - 0.5), rel=0.02)
    assert m_m_1.stages[0].busy == pytest.approx(0.5, rel=0.02)


def test_the_stay_in_m_m_1_is_exponential(m_m_1: Outcome) -> None:
    assert m_m_1.e2e is not None
    assert m_m_1.e2e.p50_s == pytest.approx(2 * math.log(2), rel=0.02)
    assert m_m_1.e2e.p90_s == pytest.approx(2 * math.log(10), rel=0.02)


def test_little_s_law_holds(m_m_1: Outcome) -> None:
    seen = [point.running for point in m_m_1.timeline if point.at_s >= m_m_1.warmup_s]
    expected = m_m_1.requests_per_s * _stay_s(m_m_1)
    assert sum(seen) / len(seen) == pytest.approx(expected, rel=0.05)


def test_m_d_1_waits_half_as_long() -> None:
    outcome = _run(chain(SteadySteps(1.0)), 0.6, 100_000.0)
    assert _stay_s(outcome) == pytest.approx(1 + 0.6 / (2 * (1 - 0.6)), rel=0.02)


def test_a_tandem_of_exponential_servers_is_a_jackson_network() -> None:
    means = (1.0, 0.8)
    # seeds that are not that of the arrivals, 0
    servers = [RandomSteps(mean, rng=random.Random(j)) for j, mean in enumerate(means, 1)]
    expected = sum(1 / (1 / mean - 0.5) for mean in means)
    assert _stay_s(_run(chain(*servers), 0.5, 150_000.0)) == pytest.approx(expected, rel=0.02)
