"""Simulate a pipeline: discrete events, one per message and per step of a stage.

    from hexplan_solver.simulate import CHUNKED, Poisson, SpreadLengths, Window, simulate
    from hexplan_solver.simulate import pipeline_of_placement, pipeline_of_plan

    pipeline = pipeline_of_plan(plan)                        # or, inside the search,
    pipeline = pipeline_of_placement(problem, network, flow)  # network and flow of a placement
    traffic = Poisson(2.0, SpreadLengths(workload.prompt_tokens, workload.output_tokens))
    outcome = simulate(pipeline, traffic, CHUNKED, Window(duration_s=600, warmup_s=60, seed=0))
    outcome.decode_tokens_per_s, outcome.ttft.p99_s, outcome.stages[0].busy

With `pipeline_of_split_plan(plan, phases)`, or `pipeline_of_split_placement(problem, network,
phases)`, some stages serve prompts and some decodes: each phase is "prefill", "decode" or "both".

`Offline(lengths)` feeds as much as the KV cache takes, so it measures the sustained rate.
Equal arguments give equal outcomes, to the byte.
"""

from __future__ import annotations

from collections.abc import Iterable

from hexplan.plan import Phase
from hexplan.results.outcome import Attainment, Outcome, Spread, StageUse, TimePoint
from hexplan_solver.simulate.assembly import (
    edge_flows,
    pipeline_of_flows,
    pipeline_of_placement,
    pipeline_of_plan,
)
from hexplan_solver.simulate.pipeline_model import EdgeModel, PipelineModel, RouteModel, StageModel
from hexplan_solver.simulate.policy import (
    CHUNKED,
    WHOLE,
    Policy,
    Reservation,
    policy_named,
    policy_of_plan,
)
from hexplan_solver.simulate.queueing.queued_simulation import QueuedSimulation
from hexplan_solver.simulate.simulation import Simulation
from hexplan_solver.simulate.split import pipeline_of_split_placement, pipeline_of_split_plan
from hexplan_solver.simulate.summary import summarise
from hexplan_solver.simulate.traffic import (
    Closed,
    Constant,
    FixedLengths,
    LengthSource,
    Offline,
    Poisson,
    Replay,
    SampledLengths,
    SpreadLengths,
    Traffic,
)
from hexplan_solver.simulate.window import Outage, Slo, Window

__all__ = [
    "CHUNKED",
    "WHOLE",
    "Attainment",
    "Closed",
    "Constant",
    "EdgeModel",
    "FixedLengths",
    "LengthSource",
    "Offline",
    "Outage",
    "Outcome",
    "Phase",
    "PipelineModel",
    "Poisson",
    "Policy",
    "Replay",
    "Reservation",
    "RouteModel",
    "SampledLengths",
    "Slo",
    "Spread",
    "SpreadLengths",
    "StageModel",
    "StageUse",
    "TimePoint",
    "Traffic",
    "Window",
    "edge_flows",
    "pipeline_of_flows",
    "pipeline_of_placement",
    "pipeline_of_plan",
    "pipeline_of_split_placement",
    "pipeline_of_split_plan",
    "policy_named",
    "policy_of_plan",
    "simulate",
]


def simulate(
    pipeline: PipelineModel,
    traffic: Traffic,
    policy: Policy = CHUNKED,
    window: Window | None = None,
    outages: Iterable[Outage] = (),
) -> Outcome:
    """Run requests through a pipeline, and return what was measured.

    Raises
    ------
    ValueError
        If neither the window nor the traffic ever ends, or there are no routes to route by; or if
        a queue is asked for where it has no meaning.
    """
    window = window or Window()
    kind = Simulation if policy.queue == "fcfs" else QueuedSimulation
    simulation = kind(pipeline, traffic, policy, window)
    simulation.run(outages)
    return summarise(simulation, pipeline, policy, window)
