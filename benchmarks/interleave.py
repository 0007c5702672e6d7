"""Print what interleaving gains over plain tensor and pipeline parallelism, in the simulator.

    python benchmarks/interleave.py [--no-measured] [--machines FIRST END]

The output is Markdown; docs/guides/interleave.md has it, with its machine and date. The first
tables are simulated, with step times of the datasheet: nothing in them was measured on a GPU.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Final

from interleave_machines import Machine, Task, in_words, machine_of
from planner import machine

from hexplan.plan import Plan
from hexplan.results.outcome import Outcome
from hexplan_solver.simulate import (
    Offline,
    Poisson,
    SpreadLengths,
    Window,
    pipeline_of_plan,
    policy_of_plan,
    simulate,
)

FOUR_A100: Final = Machine(
    "llama-2-70b", 80, "A100-80GB-PCIe", 4, "31.5GB/s", Task(512, 1024, 1, 1)
)
"""Four A100 over PCIe 4 at its stated bandwidth. Sums then take about half of a step, as the
authors state of GLM-130B on four A100."""
TASKS: Final = {
    "discriminative, 512 tokens": FOUR_A100,
    "generative, 512 + 64 tokens": replace(FOUR_A100, task=Task(512, 1024, 64, 128)),
}
WAYS: Final = ("tp", "pp", "interleaved", "auto")
LOADS: Final = (0.1, 0.3, 0.5, 0.8, 1.0, 1.3, 1.6, 2.0)
"""Of what plain tensor parallelism serves."""
FEWER_LOADS: Final = (0.3, 0.8, 1.2, 1.6)
"""For machines that are made up."""
SEEDS_OF_MACHINES: Final = range(900, 915)
"""Named before any of these machines was looked at. The first ten led to changes of the planner,
and the others were looked at after these."""
REQUESTS: Final = 800
SEEDS: Final = (1, 2, 3)
NEWER: Final = """
Newer anchors, measured on GPUs by their authors: TokenWeave (arXiv 2505.11329) states up to 1.28
times lower latency and 1.19 times the throughput on 8 x H100 over NVLink; it also fuses the sum
with the norm in one kernel that takes few SMs, which this runtime does not. Dual batch overlap in
vLLM (DBO) runs two micro-batches in two threads over the all-to-alls of experts, with kernels whose
SMs are set apart; here only all-reduces are overlapped. Liger (PPoPP 2024) states 36 % lower mean
latency than pp at its throughput, and 1.34 times the throughput of tp, on 4 devices; Liger+ 43.8 %
lower P90 and up to 1.63 times.
"""


@dataclass(frozen=True, slots=True)
class Served:
    """How a way fared at a rate, over all seeds."""

    outcomes: tuple[Outcome, ...]

    @property
    def mean_s(self) -> float:
        """Mean time of a request."""
        return sum(o.e2e.mean_s for o in self.outcomes if o.e2e) / len(self.outcomes)

    @property
    def p90_s(self) -> float:
        """What nine of ten requests take at most."""
        return sum(o.e2e.p90_s for o in self.outcomes if o.e2e) / len(self.outcomes)

    @property
    def requests_per_s(self) -> float:
        """Requests that ended."""
        return sum(o.requests_per_s for o in self.outcomes) / len(self.outcomes)


def lengths_of(plan: Plan) -> SpreadLengths:
    """Return how long its requests are."""
    return SpreadLengths(plan.workload.prompt_tokens, plan.workload.output_tokens)


def most_requests_per_s(plan: Plan) -> float:
    """Return what a plan serves of requests that never end."""
    window = Window(200.0, 60.0, seed=1)
    policy = policy_of_plan(plan)
    return simulate(
        pipeline_of_plan(plan), Offline(lengths_of(plan)), policy, window
    ).requests_per_s


def serve(plan: Plan, rate: float) -> Served:
    """Simulate a rate with the same requests for every way."""
    duration_s = REQUESTS / rate
    window = Window(duration_s, 0.2 * duration_s)
    traffic, policy = Poisson(rate, lengths_of(plan)), policy_of_plan(plan)
    pipeline = pipeline_of_plan(plan)
    return Served(
        tuple(simulate(pipeline, traffic, policy, replace(window, seed=seed)) for seed in SEEDS)
    )


def task_section(task: str) -> str:
    """Return the tables of one task."""
    four = TASKS[task]
    plans = {way: four.plan(way) for way in WAYS if way != "auto"}
    how = plans["interleaved"].stages[0].interleave
    assert how is not None
    capacity = most_requests_per_s(plans["tp"])
    lines = [
        f"#### {task}\n",
        f"Steps are interleaved from {how.from_tokens} tokens on; tp serves {capacity:.2f}"
        " requests/s at most.\n",
        "Each cell: tp / pp / interleaved / auto.\n",
        "| load | requests/s | mean s | P90 s | served/s | interleaved over tp | over pp"
        " | auto over tp | over pp | devices a stage that auto takes |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for load in LOADS:
        rate = load * capacity
        auto = four.planned_for(rate)
        found = {way: serve(plan, rate) for way, plan in {**plans, "auto": auto}.items()}
        lines.append(f"| {load} | {rate:.2f} | {_cells(found)} | {in_words(auto)} |")
    return "\n".join(lines)


def machines_table(seeds: Sequence[int]) -> str:
    """Return how the planner's choice fares on machines that are made up from seeds.

    Times of a way that does not carry a rate depend on how long it is simulated, and are not
    compared. Where the planner finds no plan that carries it, what serves most is planned, and
    compared by that.
    """
    lines = [
        "| seed | machine | load | compared | tp / pp / auto | auto over tp | over pp"
        " | devices a stage that auto takes |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for seed in seeds:
        made = machine_of(seed)
        plans = {way: made.plan(way) for way in ("tp", "pp")}
        mosts = [most_requests_per_s(plan) for plan in plans.values()]
        for load in FEWER_LOADS:
            rate = load * mosts[0]
            auto = made.planned_for(rate)
            every, what = (*plans.values(), auto), "mean s"
            if auto.objective == "latency":
                found = [serve(plan, rate).mean_s for plan in every]
            else:
                found, what = [most_requests_per_s(plan) for plan in every], "most requests/s"
            cells = " / ".join(f"{value:.2f}" for value in found)
            ratios = " | ".join(
                "overloaded"
                if auto.objective == "latency" and most < rate
                else f"{found[-1] / value:.2f}"
                for most, value in zip(mosts, found, strict=False)
            )
            lines.append(
                f"| {seed} | {made} | {load} | {what} | {cells} | {ratios} | {in_words(auto)} |"
            )
            print(lines[-1], file=sys.stderr, flush=True)
    return "\n".join(lines)


def _cells(found: Mapping[str, Served]) -> str:
    def cell(values: list[float]) -> str:
        return " / ".join(f"{value:.2f}" for value in values)

    ways = [found[way] for way in WAYS]
    tensor, pipeline, lanes, auto = (one.mean_s for one in ways)
    ratios = (lanes / tensor, lanes / pipeline, auto / tensor, auto / pipeline)
    return " | ".join(
        [
            cell([one.mean_s for one in ways]),
            cell([one.p90_s for one in ways]),
            cell([one.requests_per_s for one in ways]),
            *(f"{ratio:.2f}" for ratio in ratios),
        ]
    )


def interleave_section(*, is_measured: bool = True) -> str:
    """Return everything about this technique, in Markdown."""
    parts = ["### Simulated: Llama-2-70B in 16 bits on 4 x A100 over PCIe 4\n"]
    parts += [f"{task_section(task)}\n" for task in TASKS]
    parts.append(NEWER.strip())
    if is_measured:
        from interleave_launch import launched_section

        head = "\n### Launched: two ranks on a CPU, the link emulated\n"
        parts += [head, launched_section()]
    return "\n".join(parts)


def main() -> None:
    """Print the section."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--no-measured", action="store_true", help="leave out what is launched")
    parser.add_argument("--machines", nargs=2, type=int, metavar=("FIRST", "END"), help="of seeds")
    arguments = parser.parse_args()
    print(f"{machine()}, {date.today()}, `python benchmarks/interleave.py`\n")
    if arguments.machines:
        print(machines_table(range(*arguments.machines)))
        return
    print(interleave_section(is_measured=not arguments.no_measured))


if __name__ == "__main__":
    main()
