"""Print what Shift Parallelism gains: in the simulator on a trace, and where steps cross on a CPU.

    python benchmarks/techniques_shift.py [--no-measured]

The output is Markdown; docs/guides/shift.md has it, with its machine and date. The first tables are
simulated, with step times of the datasheet: nothing in them was measured on a GPU.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Final

from planner import machine
from shift import CHUNK_TOKENS, SPEC, WAYS, plan_of

from hexplan.plan import Plan
from hexplan.reading import parse_spec
from hexplan.results.outcome import Outcome
from hexplan.spec import Spec
from hexplan_solver import solve
from hexplan_solver.simulate import CHUNKED, Replay, Window, pipeline_of_plan, simulate
from hexplan_solver.simulate.traces import read_trace
from hexplan_solver.simulate.window import Slo

TRACE: Final = Path(__file__).with_name("traces") / "azure-conversation-2023.csv.gz"
RATES: Final = (1, 5, 10, 15, 20, 24)
"""Requests per second that the trace is sped up or slowed down to."""
REPLICAS: Final = 8
SP_DEGREE: Final = 4
IN_GROUPS: Final = "shift 4x2"
"""Four groups of two devices share out the tokens of large steps."""
PROMISE: Final = Slo(1.0, 0.05)
LENGTHS: Final = "prompt_tokens: {mean: 1155, max: 14050}, output_tokens: {mean: 211, max: 1000}"
"""Of the trace; a longer answer is rare, and its room is not planned for."""
DURATION_S: Final = 240.0
WINDOW: Final = Window(DURATION_S, 60.0)
TO_THE_END: Final = Window(None, 0.0, slo=PROMISE)
HEAD: Final = (
    "| requests/s | way | TTFT mean | TTFT p99 | TPOT mean | whole answer | tokens/s | goodput |\n"
    "|---|---|---|---|---|---|---|---|"
)
PUBLISHED: Final = (
    "Published (arXiv 2509.16495, abstract; measured on GPUs with traces of their own): up to 1.51"
    " times faster response, and 1.5 times the throughput, of tensor parallelism alone."
)


@dataclass(frozen=True, slots=True)
class Served:
    """How a way fared at a load, counted over all eight devices."""

    outcome: Outcome
    copies: int
    goodput: float
    """Requests per second that kept the promise, of all that came in the time that is simulated."""

    @property
    def answer_s(self) -> float:
        """Mean time from arrival to the last token."""
        assert self.outcome.e2e is not None, "the window is long enough"
        return self.outcome.e2e.mean_s

    @property
    def tokens_per_s(self) -> float:
        """Tokens that were read or written, if each request has the trace's mean lengths."""
        return self.copies * self.outcome.requests_per_s * (1155 + 211)

    def row(self, rate: int, way: str) -> str:
        """Return a row of the table."""
        ttft, tpot = self.outcome.ttft, self.outcome.tpot
        assert ttft is not None, "the window is long enough"
        assert tpot is not None, "the window is long enough"
        return (
            f"| {rate} | {way} | {ttft.mean_s:.2f} s | {ttft.p99_s:.2f} s"
            f" | {1000 * tpot.mean_s:.1f} ms | {self.answer_s:.2f} s"
            f" | {self.tokens_per_s:,.0f} | {self.goodput:.1f} |"
        )


def spec_of(devices: int) -> Spec:
    """Return the published machine, or a part of it, with the trace's lengths."""
    lines = SPEC.splitlines()
    workload = next(line for line in lines if line.startswith("workload"))
    pin = next(line for line in lines if "same_stage" in line)
    names = ", ".join(f"node/{index}" for index in range(devices))
    text = SPEC.replace(workload, f"workload: {{{LENGTHS}}}")
    text = text.replace("8 x H200", f"{devices} x H200")
    text = (
        text.replace(pin, f"  - same_stage: [{names}]")
        if devices > 1
        else (text.replace(f"pin:\n{pin}\n", ""))
    )
    return parse_spec(text, Path("eight-h200.yaml"))


def plans() -> dict[str, tuple[Plan, int]]:
    """Return each way's plan, and how many of it the eight devices hold."""
    spec = spec_of(REPLICAS)
    found: dict[str, tuple[Plan, int]] = {way: (plan_of(spec, way), 1) for way in WAYS}
    found[IN_GROUPS] = plan_of(spec, "shift", SP_DEGREE), 1
    return {**found, "eight replicas": (solve(spec_of(1)), REPLICAS)}


def serve(plan: Plan, copies: int, rate: int) -> Served:
    """Replay the trace at a rate; of several copies, one serves every so manieth request.

    Whether requests keep the promise is told by a second run, in which all that come in the time
    of the first are served to their ends: so each way is judged by the same requests.
    """
    requests = read_trace(TRACE)
    speedup = rate * requests[-1][0] / len(requests)
    policy, pipeline = replace(CHUNKED, chunk_tokens=CHUNK_TOKENS), pipeline_of_plan(plan)
    part = tuple(requests[::copies])
    outcome = simulate(pipeline, Replay(part, speedup), policy, WINDOW)
    come = tuple(one for one in part if one[0] < DURATION_S * speedup)
    to_the_end = simulate(pipeline, Replay(come, speedup), policy, TO_THE_END)
    assert to_the_end.slo is not None, "a promise was given"
    return Served(outcome, copies, copies * to_the_end.slo.attainment * len(come) / DURATION_S)


def simulated_section() -> str:
    """Return the simulated table, and what shift gains, in Markdown."""
    made = plans()
    lines = ["| way | T, tokens/s | KV tokens | threshold |\n|---|---|---|---|"]
    for way, (plan, copies) in made.items():
        (stage,) = plan.stages
        threshold = "" if stage.shift_tokens is None else f"{stage.shift_tokens:,} tokens"
        speed = f"{copies * stage.capacity_tokens_per_s:,.0f}"
        lines.append(f"| {way} | {speed} | {copies * stage.kv_tokens:,} | {threshold} |")
    lines.append(f"\n{HEAD}")
    gains: list[str] = []
    for rate in RATES:
        found = {way: serve(plan, copies, rate) for way, (plan, copies) in made.items()}
        lines += [served.row(rate, way) for way, served in found.items()]
        gains += [_gain(rate, way, found) for way in ("shift", IN_GROUPS)]
    head = (
        "\nWhat shift gains:\n\n| requests/s | way | answer over tp | over sp | over eight replicas"
        " | tokens/s over tp | goodput over tp | over sp |\n|---|---|---|---|---|---|---|---|"
    )
    return "\n".join([*lines, head, *gains, "", PUBLISHED])


def _gain(rate: int, way: str, found: Mapping[str, Served]) -> str:
    shift, tensor, sequence = found[way], found["tp"], found["sp"]
    replicas = found["eight replicas"]
    ratios = (
        tensor.answer_s / shift.answer_s,
        sequence.answer_s / shift.answer_s,
        replicas.answer_s / shift.answer_s,
        shift.tokens_per_s / tensor.tokens_per_s,
        shift.goodput / max(tensor.goodput, 0.01),
        shift.goodput / max(sequence.goodput, 0.01),
    )
    shown = ("> 100" if ratio > 100 else f"{ratio:.2f}" for ratio in ratios)
    return f"| {rate} | {way} | {' | '.join(shown)} |"


def shift_section(*, is_measured: bool = True) -> str:
    """Return everything about this technique, in Markdown."""
    text = (
        f"### Simulated: 8 x H200, Llama-70B in fp8, Azure's conversations\n\n{simulated_section()}"
    )
    if not is_measured:
        return text
    from shift_crossing import crossing_section

    return f"{text}\n\n### Measured: two ranks on a CPU, links emulated\n\n{crossing_section()}"


def main() -> None:
    """Print the section."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--no-measured", action="store_true", help="leave out what runs a stage")
    arguments = parser.parse_args()
    print(f"{machine()}, {date.today()}, `python benchmarks/techniques_shift.py`\n")
    print(shift_section(is_measured=not arguments.no_measured))


if __name__ == "__main__":
    main()
