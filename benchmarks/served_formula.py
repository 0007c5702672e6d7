"""Print what the served-rate formula brings beside a simpler one without fitted constants.

    python benchmarks/served_formula.py accuracy [PLAN ...]
    python benchmarks/served_formula.py sustained [--time-limit SECONDS] [SPEC ...]

`accuracy` takes plans of largest flow, lets each formula choose the step limits, and simulates both
choices. `sustained` solves specs for the sustained rate with each formula, and prints the simulated
rate that the plan states. Seconds are processor time, so other load changes little.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

from hexplan.plan_file import read_plan
from hexplan.reading import read_spec
from hexplan.spec import Spec
from hexplan.workload import Workload
from hexplan_solver import SolveOptions
from hexplan_solver.objectives.sustained.objective import draft_sustained
from hexplan_solver.served.in_flight import requests_in_flight
from hexplan_solver.served.request import MeanRequest, mean_request, spread_lengths
from hexplan_solver.served.served import ServedRate, served_rate
from hexplan_solver.served.shares import Shares, shares_of
from hexplan_solver.served.step_limits import widest, with_step_limits
from hexplan_solver.simulate import (
    CHUNKED,
    Offline,
    PipelineModel,
    Policy,
    Window,
    pipeline_of_plan,
    simulate,
)

SEED, STAYS = 100, 9.0
"""As in sustained.py: a seed that chose no plan, and how many stays of a request are simulated."""
RATE_USERS = ("served.step_limits", "objectives.sustained.candidate", "objectives.sustained.choice")


def simple_rate(
    pipeline: PipelineModel, workload: Workload, policy: Policy = CHUNKED
) -> ServedRate:
    """Return requests in flight over the mean time of a request that meets no other.

    Steps hold the decodes in flight, spread evenly over the hops; no stage or link is busy for more
    than all of the time.
    """
    shares, request = shares_of(pipeline), mean_request(workload, policy)
    in_flight = max(1.0, requests_in_flight(pipeline, shares, request, policy))
    batch = max(1, min(policy.max_decode_tokens, round(in_flight / shares.hops)))
    decode_s, prompt_s, busy_s = _stage_times(pipeline, shares, request, policy, batch)
    for edge, share in zip(pipeline.edges, shares.edges, strict=True):
        token_s = edge.token_bytes / edge.bytes_per_s
        decode_s += share * (edge.latency_s + batch * token_s)
        prompt_s += share * (edge.latency_s + request.prompt_tokens * token_s)
    busiest_s = max(busy_s, _shared_s(pipeline, shares, request))
    stay_s = request.decode_tokens * decode_s + prompt_s
    rate = min(in_flight / stay_s, 1 / busiest_s)
    round_trip_s = in_flight / rate / request.decode_tokens
    return ServedRate(
        rate * request.decode_tokens, rate, in_flight, round_trip_s, shares.hops, rate * busiest_s
    )


def _stage_times(
    pipeline: PipelineModel, shares: Shares, request: MeanRequest, policy: Policy, batch: int
) -> tuple[float, float, float]:
    """Return the seconds of a round, of a prompt, and of the busiest stage for one request."""
    context, tokens = int(batch * request.context_tokens), int(request.prompt_tokens)
    chunk = min(tokens, policy.chunk_tokens or tokens)
    decode_s = prompt_s = busiest_s = 0.0
    for stage, share, held in zip(pipeline.stages, shares.stages, shares.held_layers, strict=True):
        step_s = held * stage.steps.layer_s(0, 0, batch, context)
        if stage.layers[1] == pipeline.num_layers:
            step_s += share * stage.steps.head_s(batch)
        chunks_s = held * tokens / chunk * stage.steps.layer_s(chunk, chunk * chunk / 2, 0, 0)
        decode_s, prompt_s = decode_s + step_s, prompt_s + chunks_s
        busiest_s = max(busiest_s, request.decode_tokens * step_s / batch + chunks_s)
    return decode_s, prompt_s, busiest_s


def _shared_s(pipeline: PipelineModel, shares: Shares, request: MeanRequest) -> float:
    """Return the seconds for which one request keeps the busiest link, NIC or trunk."""
    through = [0.0] * len(pipeline.shared_bytes_per_s)
    busiest_s = 0.0
    for edge, share in zip(pipeline.edges, shares.edges, strict=True):
        num_bytes = share * edge.token_bytes * (request.prompt_tokens + request.decode_tokens)
        busiest_s = max(busiest_s, num_bytes / edge.bytes_per_s)
        for index in edge.shared:
            through[index] += num_bytes / pipeline.shared_bytes_per_s[index]
    return max([busiest_s, *through])


def simple_above(
    decode_tokens_per_s: float, pipeline: PipelineModel, workload: Workload, policy: Policy
) -> ServedRate | None:
    """Return the simple rate, or nothing where it is below a rate of decoded tokens."""
    found = simple_rate(pipeline, workload, policy)
    return found if found.decode_tokens_per_s >= decode_tokens_per_s else None


@contextmanager
def by(formula: str) -> Iterator[None]:
    """Let the planner use a formula, and measure every time limit in processor time."""
    with ExitStack() as stack:
        stack.enter_context(patch.object(time, "monotonic", time.process_time))
        if formula == "simple":
            for user in RATE_USERS:
                stack.enter_context(patch(f"hexplan_solver.{user}.served_rate", simple_rate))
            above = "hexplan_solver.objectives.sustained.candidate.served_above"
            stack.enter_context(patch(above, simple_above))
        yield


def main() -> None:
    """Print one of the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", choices=("accuracy", "sustained"))
    parser.add_argument("--time-limit", type=float, default=60.0)
    parser.add_argument("files", nargs="+", type=Path)
    arguments = parser.parse_args()
    if arguments.table == "accuracy":
        print("| plan | formula | steps | rate | simulated | ratio |\n|---|---|---|---|---|---|")
        for path in arguments.files:
            print_accuracy(path)
    else:
        print("| spec | formula | decode tok/s | TTFT | TPOT |\n|---|---|---|---|---|")
        for path in arguments.files:
            print_sustained(path, arguments.time_limit)


def print_accuracy(path: Path) -> None:
    """Print what each formula predicts for the step limits it chose, and what they serve."""
    plan = read_plan(path)
    spec, pipeline = Spec.of(plan), pipeline_of_plan(plan)
    for formula in ("fitted", "simple"):
        with by(formula):
            policy, said = with_step_limits(spec, pipeline, widest(spec, CHUNKED))
        stay_s = served_rate(pipeline, spec.workload, policy).residence_s
        window = Window(STAYS * stay_s, STAYS / 3 * stay_s, SEED)
        outcome = simulate(pipeline, Offline(spread_lengths(spec.workload)), policy, window)
        rates = said.decode_tokens_per_s, outcome.decode_tokens_per_s
        steps = f"{policy.chunk_tokens} / {policy.max_decode_tokens}"
        cells = f"{rates[0]:.1f} | {rates[1]:.1f} | {rates[0] / rates[1]:.2f}"
        print(f"| {plan.cluster.name} | {formula} | {steps} | {cells} |", flush=True)


def print_sustained(path: Path, time_limit_s: float) -> None:
    """Print what the plan found with each formula serves in the simulator."""
    spec = replace(read_spec(path), objective="sustained")
    for formula in ("fitted", "simple"):
        with by(formula):
            stated = draft_sustained(spec, SolveOptions(time_limit_s=time_limit_s)).sustained
        assert stated is not None
        found = stated.simulated
        assert found is not None
        cells = f"{found.decode_tokens_per_s:.1f} | {found.ttft_s:.2f} s | {found.tpot_s:.3f} s"
        print(f"| {path.stem} | {formula} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
