"""Print what dividing stages by prefill and decode gains over the same stages undivided.

    python benchmarks/phases.py

The output is Markdown; docs/simulation.md has such an output, with its machine and date.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path

from planner import machine

from hexplan.cluster import GroupPin
from hexplan.plan import Phase, Plan
from hexplan.reading import read_spec
from hexplan.results.outcome import Outcome, Spread
from hexplan.spec import Spec
from hexplan.workload import Lengths
from hexplan_solver import SolveOptions, solve
from hexplan_solver.simulate import (
    CHUNKED,
    PipelineModel,
    Poisson,
    SpreadLengths,
    Window,
    pipeline_of_plan,
    pipeline_of_split_plan,
    simulate,
)

SPECS = Path(__file__).parents[1] / "cluster_specs"
WINDOW = Window(360.0, 60.0)
SHORT = SpreadLengths(Lengths(mean=75, max=128), Lengths(mean=75, max=128))
LONG = SpreadLengths(Lengths(mean=512, max=1024), Lengths(mean=128, max=256))
"""Lengths of prompts and outputs, mean and longest: those of the specs, and longer ones."""
Variant = tuple[str, PipelineModel]
HEAD = (
    "| load | stages that prefill | TTFT mean | p99 | TPOT mean | p99 | output tokens/s |\n"
    "|---|---|---|---|---|---|---|"
)


def one_site() -> list[Variant]:
    """Two machines of 8 A100, four devices to a stage: four stages that each hold the model."""
    spec = read_spec(SPECS / "hexgen-a100-16.yaml")
    pins = tuple(
        GroupPin(host=host.name, devices=devices)
        for host in spec.cluster.hosts
        for devices in ((0, 1, 2, 3), (4, 5, 6, 7))
    )
    cluster = spec.cluster.model_copy(update={"group_pins": pins})
    plan = solve(Spec(cluster, spec.model, spec.workload))
    ways: dict[str, list[Phase]] = {
        "1 of 4": ["prefill", "decode", "decode", "decode"],
        "2 of 4": ["prefill", "prefill", "decode", "decode"],
        "3 of 4": ["prefill", "prefill", "prefill", "decode"],
    }
    divided = [(name, pipeline_of_split_plan(plan, phases)) for name, phases in ways.items()]
    return [("all, and decode", pipeline_of_plan(plan)), *divided]


def five_sites() -> list[Variant]:
    """58 devices; of the stages that begin at the same layer, every second or third prefills."""
    spec = read_spec(SPECS / "hexgen-full58.yaml")
    plan = solve(spec, SolveOptions(time_limit_s=20.0))
    divided = [
        (f"every {word}", pipeline_of_split_plan(plan, list(every(plan, nth))))
        for word, nth in (("second", 2), ("third", 3))
    ]
    return [("all, and decode", pipeline_of_plan(plan)), *divided]


def every(plan: Plan, nth: int) -> Iterator[Phase]:
    """Yield the phase of each stage."""
    seen: Counter[int] = Counter()
    for stage in plan.stages:
        yield "decode" if seen[stage.layers[0]] % nth else "prefill"
        seen[stage.layers[0]] += 1


def show(variants: Sequence[Variant], lengths: SpreadLengths, rates: Sequence[float]) -> None:
    """Print a row for each load and each way to divide the stages."""
    print(HEAD)
    for rate in rates:
        for name, pipeline in variants:
            outcome = simulate(pipeline, Poisson(rate, lengths), CHUNKED, WINDOW)
            print(f"| {rate:g}/s | {name} | {' | '.join(cells(outcome))} |", flush=True)
    print()


def cells(outcome: Outcome) -> list[str]:
    """Return the cells of one row."""
    return [
        *(cell for spread in (outcome.ttft, outcome.tpot) for cell in times(spread)),
        f"{outcome.output_tokens_per_s:.0f}",
    ]


def times(spread: Spread | None) -> list[str]:
    """Return the mean and the 99th percentile."""
    return [f"{s:.3g} s" for s in (spread.mean_s, spread.p99_s)] if spread else ["-", "-"]


def main() -> None:
    """Print all tables."""
    print(f"{date.today()}, {machine()}\n")  # noqa: DTZ011
    variants = one_site()
    print("hexgen-a100-16 as four stages of four A100, 75 + 75 tokens\n")
    show(variants, SHORT, (32, 64, 96))
    print("the same, 512 + 128 tokens\n")
    show(variants, LONG, (8, 12, 16))
    print("hexgen-full58, 75 + 75 tokens\n")
    show(five_sites(), SHORT, (10, 20, 40))


if __name__ == "__main__":
    main()
