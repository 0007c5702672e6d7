"""What users measured and published, each with the cluster.yaml that they would have written."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

from hexplan.check import check_plan
from hexplan.plan import Plan
from hexplan.reading import read_spec
from hexplan.spec import Spec
from hexplan_solver import SolveOptions, solve
from hexplan_solver.simulate import (
    FixedLengths,
    Outcome,
    Poisson,
    Replay,
    Slo,
    Window,
    pipeline_of_plan,
    policy_of_plan,
    simulate,
)

FOLDER = Path(__file__).parents[1] / "data" / "trials"
OPTIONS = SolveOptions(time_limit_s=60, effort_s=2)
"""The same plans on a busy machine."""
ALIKE = 0.7, 1.4
"""Predicted over measured tokens/s, where loads and groups of devices are alike."""


class What(StrEnum):
    """What was measured, in tokens/s."""

    DECODE = "decode"
    """Of one request alone, without its prompt."""
    PROMPT = "prompt"
    """Of one request alone."""
    AT_ONCE = "output"
    """Of requests that start at once, over their mean time from start to end."""


@dataclass(frozen=True)
class Trial:
    """A figure that a user measured."""

    row: str
    """The file's number in tests/data/trials."""
    source: str
    """Repository and number of the thread."""
    case: str
    """Devices and model."""
    measured: float
    """Tokens/s."""
    what: What = What.DECODE
    users: int = 1
    """Requests that start at once."""
    why: str = ""
    """Why the ratio is outside `ALIKE`; empty where it is inside."""
    is_like: bool = True
    """Whether the plan groups the devices as the user did."""

    @property
    def name(self) -> str:
        """What it is, in a few words."""
        at = f", {self.users} users" if self.users > 1 else ""
        return f"{self.row} {self.case}, {self.what}{at}"

    def predicted(self) -> float:
        """Return the tokens/s that the plan states, or its simulation gives."""
        plan = plan_of(self.row)
        outcome = together(plan, self.users)
        assert outcome.ttft is not None
        assert outcome.tpot is not None
        assert outcome.e2e is not None
        if self.what is What.PROMPT:
            return plan.workload.prompt_tokens.mean / outcome.ttft.mean_s
        if self.what is What.DECODE:
            return 1 / outcome.tpot.mean_s
        return self.users * plan.workload.output_tokens.mean / outcome.e2e.mean_s


def spec_of(row: str) -> Spec:
    """Return the cluster.yaml of a row."""
    (path,) = FOLDER.glob(f"{row}-*.yaml")
    return read_spec(path)


@cache
def plan_of(row: str) -> Plan:
    """Return the plan of a row, which breaks no rule."""
    return checked(spec_of(row))


def checked(spec: Spec) -> Plan:
    """Return a plan that breaks no rule."""
    plan = solve(spec, OPTIONS)
    assert [str(violation) for violation in check_plan(plan)] == []
    return plan


def together(plan: Plan, users: int = 1) -> Outcome:
    """Simulate mean requests that start at once on an idle cluster, to the end of the last."""
    lengths = plan.workload.prompt_tokens.mean, plan.workload.output_tokens.mean
    return run(plan, Replay(((0.0, *lengths),) * users), Window(None, 0.0))


def at_rate(plan: Plan, requests_per_s: float, requests: int = 100) -> Outcome:
    """Simulate mean requests that arrive at random, for as long as so many of them take."""
    lengths = FixedLengths(plan.workload.prompt_tokens.mean, plan.workload.output_tokens.mean)
    window = Window(requests / requests_per_s, 0.0, slo=_slo(plan))
    return run(plan, Poisson(requests_per_s, lengths), window)


def run(plan: Plan, traffic: Replay | Poisson, window: Window) -> Outcome:
    """Simulate a plan with its own step limits."""
    return simulate(pipeline_of_plan(plan), traffic, policy_of_plan(plan), window)


def layers_of(plan: Plan, host: str) -> int:
    """Return how many layers the stages of a host hold."""
    return sum(s.layers[1] - s.layers[0] for s in plan.stages if s.host == host)


def _slo(plan: Plan) -> Slo | None:
    promised = plan.workload.slo
    return Slo(float(promised.ttft_s), float(promised.tpot_s)) if promised else None


TRIALS = (
    Trial("01", "geerlingguy/beowulf-ai-cluster#17", "M3 Ultra, Llama 3.3 70B Q4_K_M", 14.41),
    Trial(
        "01",
        "geerlingguy/beowulf-ai-cluster#17",
        "M3 Ultra, Llama 3.3 70B Q4_K_M",
        162.3,
        What.PROMPT,
    ),
    Trial(
        "03",
        "NVIDIA/dgx-spark-playbooks#79",
        "DGX Spark, Llama 3.3 70B NVFP4",
        4.1,
    ),
    Trial("04", "mark-ramsey-ri/vllm-dgx-spark#1", "2 DGX Spark, Llama 3 70B, TP 2", 3.0),
    Trial("05", "vllm-project/vllm#16300", "2 A100, QwQ-32B, TP 2", 36.2),
    Trial("05", "vllm-project/vllm#16300", "2 A100, QwQ-32B, TP 2", 528, What.AT_ONCE, 16),
    Trial(
        "05",
        "vllm-project/vllm#16300",
        "2 A100, QwQ-32B, TP 2",
        2300,
        What.AT_ONCE,
        128,
    ),
    Trial("05b", "vllm-project/vllm#16300", "4 A100, QwQ-32B, TP 4", 50),
    Trial(
        "05b",
        "vllm-project/vllm#16300",
        "4 A100, QwQ-32B, TP 4",
        660,
        What.AT_ONCE,
        16,
    ),
    Trial("05c", "vllm-project/vllm#16300", "8 A100, QwQ-32B, TP 8", 63),
    Trial(
        "05c",
        "vllm-project/vllm#16300",
        "8 A100, QwQ-32B, TP 8",
        760,
        What.AT_ONCE,
        16,
    ),
    Trial(
        "07",
        "vllm-project/vllm#8244",
        "8 H100, Llama 3.1 405B fp8",
        335,
        What.AT_ONCE,
        32,
        why="The reporter asks why the engine reaches at most 700 tokens/s with more users, where"
        " vLLM's blog has about 3100. It ran TP 8; the plan has three stages.",
        is_like=False,
    ),
    Trial(
        "08",
        "vllm-project/vllm#20890",
        "8 A100, Qwen3-235B-A22B",
        900,
        What.AT_ONCE,
        32,
        why="The figure is of eight A800, quoted by a reporter who ran TP 8. The plan, made for"
        " full load, has two stages of four devices, and each reads most experts for only 16"
        " requests.",
        is_like=False,
    ),
    Trial("14b", "sudoingX/qwen38-mtp#29", "2 P40, Qwen3.8 27B Q5", 11.7),
    Trial("15b", "b4rtaz/distributed-llama#64", "4 Raspberry Pi 5, Llama 3 8B Q40", 4.08),
    Trial("18c", "vllm-project/vllm#11147", "4 RTX A6000, Llama 3.1 70B, TP 4", 16.5),
)
