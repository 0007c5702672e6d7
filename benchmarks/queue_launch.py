"""A trace that a launched plan really runs, on one core of this machine."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Final

from hexplan.plan import Plan
from hexplan.reading import parse_spec
from hexplan.schedule.queueing.params import Queueing
from hexplan.schedule.queueing.work import Work
from hexplan.techniques import QueueName
from hexplan_runtime.engine.core import EngineCore
from hexplan_runtime.engine.outcomes import Failed
from hexplan_runtime.launch.pipeline import Pipeline
from hexplan_runtime.request import Request, TokenEvent
from hexplan_solver import SolveOptions, solve
from hexplan_solver.simulate.traffic import Arrival

MODEL: Final = Path(__file__).parents[1] / "models" / "austen-3m"
KV_TOKENS: Final = 400
"""Set by hand, as no memory is as small as this model: room for about five requests."""
ROUNDS: Final = 3
PATIENCE_S: Final = 150.0
SPEC: Final = f"""
version: 1
name: one-core
model: {{path: {MODEL}, dtype: float32}}
workload: {{prompt_tokens: {{mean: 32, max: 120}}, output_tokens: {{mean: 28, max: 240}}}}
objective: throughput
devices: {{core: {{kind: cpu, memory: 1GiB, memory_bandwidth: 10GB/s, compute: 20 GFLOP/s}}}}
hosts: [{{name: desk, site: here, devices: core, nic: 2GB/s}}]
coordinator: {{site: here, nic: 2GB/s}}
links: [{{within: here, bandwidth: 2GB/s, latency: 100us}}]
"""


def launched_plan() -> Plan:
    """Return a plan of one stage with little room."""
    plan = solve(parse_spec(SPEC, Path("one-core.yaml")), SolveOptions(time_limit_s=2))
    (stage,) = plan.stages
    return plan.model_copy(update={"stages": (stage.model_copy(update={"kv_tokens": KV_TOKENS}),)})


@dataclass(slots=True)
class _Heard:
    """When a request's tokens came."""

    times_s: list[float] = field(default_factory=list)
    is_over: Event = field(default_factory=Event)

    def take(self, event: TokenEvent | Failed) -> None:
        assert isinstance(event, TokenEvent), event
        self.times_s.append(time.monotonic())
        if event.is_last:
            self.is_over.set()


class Launched:
    """Launches a plan once for each queue."""

    def __init__(self, plan: Plan, clients: tuple[str, ...]) -> None:
        self._plan, self._clients = plan, clients

    def measure(self, trace: tuple[Arrival, ...]) -> tuple[Work, float]:
        """Return what requests take alone, and how many a second are served if all come at once."""
        with Pipeline(self._plan, MODEL, queue=Queueing("fcfs")) as pipeline:
            core = pipeline.core
            core.reuse_prefixes(is_wanted=False)
            for _ in range(3):  # the last one counts
                short, long, decodes = (self._alone_s(core, *x) for x in ((1, 1), (96, 1), (1, 65)))
            each_s = (long - short) / 95
            work = Work(lambda tokens: short + tokens * each_s, (decodes - short) / 64)
            at_once = tuple((0.0, prompt, output) for _, prompt, output in trace)
            return work, len(trace) / max(self._replay(core, at_once)[1])

    def run(
        self, trace: tuple[Arrival, ...], queue: QueueName
    ) -> tuple[list[float], list[float], int]:
        """Return when requests had their first and last tokens, and how often KV was moved.

        Of three rounds, that of the median mean counts.
        """
        with Pipeline(self._plan, MODEL, queue=Queueing(queue)) as pipeline:
            core = pipeline.core
            core.reuse_prefixes(is_wanted=False)
            self._alone_s(core, 96, 32)
            rounds = []
            for _ in range(ROUNDS):
                before = core.snapshot().swaps
                first_s, last_s = self._replay(core, trace)
                rounds.append((first_s, last_s, core.snapshot().swaps - before))
            return sorted(rounds, key=lambda one: sum(one[1]))[ROUNDS // 2]

    def _alone_s(self, core: EngineCore, prompt: int, output: int) -> float:
        return self._replay(core, ((0.0, prompt, output),))[1][0]

    def _replay(
        self, core: EngineCore, trace: tuple[Arrival, ...]
    ) -> tuple[list[float], list[float]]:
        heard = [_Heard() for _ in trace]
        begun_s = time.monotonic()
        for number, ((at_s, prompt, output), one) in enumerate(zip(trace, heard, strict=True)):
            time.sleep(max(0.0, begun_s + at_s - time.monotonic()))
            ids = tuple((7 * number + 3 * n) % 1000 + 1 for n in range(prompt))
            request = Request(ids, output, client=self._clients[number])
            core.submit_all([(request, one.take)])
        for one in heard:
            if not one.is_over.wait(PATIENCE_S):
                message = f"a request was not over within {PATIENCE_S:g} s"
                raise TimeoutError(message)
        return (
            [one.times_s[0] - begun_s for one in heard],
            [one.times_s[-1] - begun_s for one in heard],
        )
