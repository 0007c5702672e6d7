"""The queueing model against closed forms and against a server that works in steps."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest

from hexplan.schedule.micro_batches import Loop, Visit, micro_batches
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
def test_prompts_meet_steps_of_fixed_length_as_the_closed_form_says(load: float) -> None:
    """M/D/1 with batches of any size: an arrival waits d / 2 if it meets a step (PASTA).

    A prompt of no length of its own then shares the next step.
    """
    step_s, output = 0.1, 9.0
    station = Station(base_s=step_s, token_s=0.0, prompt_s=0.0, output_tokens=output)
    rate = load / step_s / (1 + output)
    busy_s = step_s * math.exp(load)
    busy = busy_s / (busy_s + step_s / load)
    assert station.prompt_hop_s(rate) == pytest.approx(busy * step_s / 2 + busy * step_s)


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
def test_prompts_among_tokens_take_as_long_as_at_a_server_that_works_in_steps(
    rate: float,
) -> None:
    output = 40.0
    station = Station(base_s=0.03, token_s=0.0004, prompt_s=0.5, output_tokens=output)
    found = simulated(
        {"prompt": rate, "token": output * rate},
        lambda p, t: 0.03 * (t > 0) + 0.0004 * t + 0.5 * p,
    )
    assert station.prompt_hop_s(rate) == pytest.approx(found["prompt"], rel=0.12)


@pytest.mark.parametrize("steps_s", [(1.0, 0.01), (1.0, 1.0), (5.0, 1.0, 1.0)])
def test_two_requests_share_their_steps_instead_of_taking_turns(steps_s: tuple[float, ...]) -> None:
    """Both decode in one micro-batch, or in one each where that is no slower (decision 12)."""
    round_s = sum(steps_s)
    together_s = 0.0
    for step_s in steps_s:
        station = Station(base_s=step_s, token_s=0.0, prompt_s=0.0, output_tokens=1e6)
        together_s += station.decode_hop_s(1.0, round_s)  # another request is there for certain
    loop = Loop([Visit(lambda _, s=s: s) for s in steps_s], [])  # type: ignore[misc]
    assert together_s == pytest.approx(loop.round_s(2, micro_batches(loop, 2, 256)), rel=0.02)


@pytest.mark.parametrize(("prompt_s", "round_s"), [(0.5, 2.0), (2.0, 0.5), (1.0, 1.0)])
def test_a_token_waits_for_prompts_as_in_a_round_with_a_prompt_at_random(
    prompt_s: float, round_s: float
) -> None:
    rng, rate = random.Random(5), 1e-5
    waits = [max(0.0, prompt_s - rng.uniform(0, round_s)) for _ in range(200_000)]
    # So many tokens that the prompts which come during the request's own do not matter; and steps
    # so short that nobody waits for a turn.
    station = Station(base_s=1e-9, token_s=0.0, prompt_s=prompt_s, output_tokens=1e6)
    expected_s = rate * round_s * sum(waits) / len(waits)
    waited_s = station.decode_hop_s(rate, round_s) - station.alone_s
    assert waited_s == pytest.approx(expected_s, rel=0.01)


def test_a_request_never_waits_for_its_own_tokens() -> None:
    """However many tokens it has: they come one after the other."""
    for output in (10, 10_000):
        station = Station(base_s=0.05, token_s=0.0, prompt_s=0.0, output_tokens=output)
        assert station.decode_hop_s(1e-3, 0.05) == pytest.approx(0.05, rel=1e-3)


def test_an_idle_stage_takes_the_bare_time_and_a_full_one_forever() -> None:
    station = Station(base_s=0.03, token_s=0.0004, prompt_s=0.5, output_tokens=40)
    assert station.prompt_hop_s(1e-9) == pytest.approx(0.5)
    assert station.decode_hop_s(1e-9, 0.0304) == pytest.approx(0.0304)
    assert station.decode_hop_s(1 / (0.5 + 40 * 0.0004), 0.0304) == math.inf
