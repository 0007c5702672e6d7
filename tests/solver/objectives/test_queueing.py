"""The queueing model against closed forms and against a server that works in steps."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest

from hexplan_solver.objectives.latency.queueing import Station


def simulated(
    arrivals: dict[str, float], step_s: Callable[[int, int], float], seed: int = 1
) -> dict[str, float]:
    """Return mean times at a server whose steps take all that has arrived.

    `arrivals` are Poisson rates of `prompt` and `token`; a step of p prompts and t tokens takes
    `step_s(p, t)`.
    """
    rng = random.Random(seed)
    total = sum(arrivals.values())
    share = arrivals["prompt"] / total
    clock, num_jobs = 0.0, 400_000
    jobs = []
    for _ in range(num_jobs):
        clock += rng.expovariate(total)
        jobs.append((clock, "prompt" if rng.random() < share else "token"))
    spent = {"prompt": 0.0, "token": 0.0}
    counts = {"prompt": 0, "token": 0}
    free, at = 0.0, 0
    while at < num_jobs:
        start = max(free, jobs[at][0])
        end = at
        while end < num_jobs and jobs[end][0] <= start:
            end += 1
        batch = jobs[at:end]
        prompts = sum(kind == "prompt" for _, kind in batch)
        free = start + step_s(prompts, len(batch) - prompts)
        for arrived, kind in batch:
            spent[kind] += free - arrived
            counts[kind] += 1
        at = end
    return {kind: spent[kind] / counts[kind] for kind in spent if counts[kind]}


@pytest.mark.parametrize("load", [0.05, 0.3, 1.0, 4.0])
def test_steps_of_fixed_length_wait_as_the_closed_form_says(load: float) -> None:
    """M/D/1 with batches of any size: an arrival waits d / 2 if it meets a step (PASTA)."""
    step_s, output = 0.1, 9.0
    station = Station(base_s=step_s, token_s=0.0, prompt_s=0.0, output_tokens=output)
    rate = load / step_s / (1 + output)
    busy_s = step_s * math.exp(load)
    busy = busy_s / (busy_s + step_s / load)
    assert station.decode_hop_s(rate) == pytest.approx(step_s + busy * step_s / 2)


@pytest.mark.parametrize("load", [0.1, 0.5, 0.9])
def test_prompts_alone_take_as_long_as_at_a_server_that_works_in_steps(load: float) -> None:
    station = Station(base_s=0.0, token_s=0.0, prompt_s=0.2, output_tokens=0.0)
    rate = load / 0.2
    found = simulated({"prompt": rate, "token": 0.0}, lambda p, _: 0.2 * p)
    assert station.prompt_hop_s(rate) == pytest.approx(found["prompt"], rel=0.04)


def test_no_wait_is_shorter_than_that_of_a_queue_that_lets_each_go_when_it_is_done() -> None:
    """Pollaczek-Khinchine for M/D/1: p + rho p / (2 (1 - rho)); in steps, all leave together."""
    station = Station(base_s=0.0, token_s=0.0, prompt_s=0.2, output_tokens=0.0)
    for rho in (0.01, 0.2, 0.5, 0.8, 0.95):
        alone = 0.2 + rho * 0.2 / (2 * (1 - rho))
        assert alone < station.prompt_hop_s(rho / 0.2) < 2 * alone


@pytest.mark.parametrize("rate", [0.05, 0.5, 1.0, 1.6])
def test_prompts_and_tokens_together_take_as_long_as_at_a_server_that_works_in_steps(
    rate: float,
) -> None:
    output = 40.0
    station = Station(base_s=0.03, token_s=0.0004, prompt_s=0.5, output_tokens=output)
    found = simulated(
        {"prompt": rate, "token": output * rate},
        lambda p, t: 0.03 * (t > 0) + 0.0004 * t + 0.5 * p,
    )
    assert station.decode_hop_s(rate) == pytest.approx(found["token"], rel=0.12)
    assert station.prompt_hop_s(rate) == pytest.approx(found["prompt"], rel=0.12)


def test_an_idle_stage_takes_the_bare_time_and_a_full_one_forever() -> None:
    station = Station(base_s=0.03, token_s=0.0004, prompt_s=0.5, output_tokens=40)
    assert station.prompt_hop_s(1e-9) == pytest.approx(0.5)
    assert station.decode_hop_s(1e-9) == pytest.approx(0.0304)
    assert station.decode_hop_s(1 / (0.5 + 40 * 0.0004)) == math.inf
