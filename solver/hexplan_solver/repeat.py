"""Repeat: what a plan's simulations and formulas give when they run again."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean

from hexplan.cluster import Scheduling
from hexplan.constants import BALANCED_BASIS, MICRO, PROMISE_BASIS, RATE_BASIS
from hexplan.plan import Plan
from hexplan.predicted import Predicted, RateRun, SimulatedRate, SustainedRate
from hexplan.spec import Spec
from hexplan_solver.flow.network import build_network
from hexplan_solver.flow.routes import Path
from hexplan_solver.objectives.balanced.params import BALANCED_PARAMS
from hexplan_solver.objectives.latency.split import times_of
from hexplan_solver.objectives.latency.stations import station_of
from hexplan_solver.objectives.sustained.trial import mean_of
from hexplan_solver.plans.predicted import figure
from hexplan_solver.plans.read_back import read_back, replica_numbers
from hexplan_solver.problem.problem import build_problem
from hexplan_solver.served.latencies import latencies_at
from hexplan_solver.served.request import spread_lengths
from hexplan_solver.served.served import served_rate
from hexplan_solver.served.stated import stated_rate
from hexplan_solver.simulate import (
    WHOLE,
    Offline,
    Outcome,
    PipelineModel,
    Poisson,
    Policy,
    Slo,
    SpreadLengths,
    Traffic,
    Window,
    pipeline_of_plan,
    policy_of_plan,
    simulate,
)


def repeat(plan: Plan) -> Predicted:
    """Return the plan's prediction with every simulated, served or queueing figure computed again.

    Everything that a run needs is in the plan: policy, step limits, seeds, times and lengths. The
    other figures are as the plan states them.
    """
    stated = plan.predicted
    again = _Repetition(plan, pipeline_of_plan(plan))
    update: dict[str, object] = {}
    if stated.sustained is not None:
        update["sustained"] = again.sustained(stated.sustained)
    if stated.run is not None:
        update |= again.at_rate(stated.run)
    elif stated.balance is not None and stated.sustained is not None:
        update |= again.by_formula(stated.sustained.policy)
    elif stated.ttft_s is not None or stated.tpot_s is not None:
        update |= _queueing(plan)
    return stated.model_copy(update=update)


@dataclass(frozen=True, slots=True)
class _Repetition:
    plan: Plan
    pipeline: PipelineModel

    def sustained(self, stated: SustainedRate) -> SustainedRate:
        """Return the rehearsed rates, and the simulated ones if there are any."""
        policy = self._policy(stated.policy)
        found = stated_rate(self.pipeline, self.plan.workload, policy)
        simulated = stated.simulated
        return stated.model_copy(
            update={
                "decode_tokens_per_s": figure(found.decode_tokens_per_s),
                "requests_per_s": figure(found.requests_per_s),
                "simulated": simulated and self._offline(simulated, policy),
            }
        )

    def at_rate(self, stated: RateRun) -> dict[str, object]:
        """Return the run at a rate, with the times and the promised rate that rest on it."""
        promise = Slo.of(self.plan.workload)
        traffic = Poisson(float(stated.requests_per_s), self._lengths)
        policy = self._policy(stated.policy)
        outcomes = [
            self._run(traffic, policy, Window(*_times_s(stated), seed, slo=promise))
            for seed in stated.seeds
        ]
        kept = [outcome.slo.attainment for outcome in outcomes if outcome.slo is not None]
        run = stated.model_copy(
            update={
                "requests": sum(outcome.finished for outcome in outcomes),
                "attainment": figure(fmean(kept)) if kept else None,
            }
        )
        ttft = [outcome.ttft for outcome in outcomes if outcome.ttft]
        tpot = [outcome.tpot for outcome in outcomes if outcome.tpot]
        promised, balance = self.plan.predicted.slo_requests_per_s, self.plan.predicted.balance
        basis = RATE_BASIS if self.plan.objective == "latency" else PROMISE_BASIS
        if balance is not None:
            basis = BALANCED_BASIS.format(judged_by=balance.judged_by)
        return {
            "run": run,
            "latency_basis": basis.format(requests=run.requests) if ttft or tpot else None,
            "ttft_s": figure(mean_of(ttft)) if ttft else None,
            "tpot_s": figure(mean_of(tpot)) if tpot else None,
            "slo_requests_per_s": None if promised is None else stated.requests_per_s,
        }

    def by_formula(self, stated: Scheduling) -> dict[str, object]:
        """Return the mean times by the formula, at the load of a balanced plan."""
        policy, workload = self._policy(stated), self.plan.workload
        served = served_rate(self.pipeline, workload, policy)
        times = latencies_at(BALANCED_PARAMS.load, self.pipeline, workload, policy, served)
        if times is None:
            return {}
        return {"ttft_s": figure(times.ttft_s), "tpot_s": figure(times.tpot_s)}

    def _offline(self, stated: SimulatedRate, policy: Policy) -> SimulatedRate:
        outcomes = [
            self._run(Offline(self._lengths), policy, Window(*_times_s(stated), seed))
            for seed in stated.seeds
        ]
        means = {
            "decode_tokens_per_s": fmean(outcome.decode_tokens_per_s for outcome in outcomes),
            "requests_per_s": fmean(outcome.requests_per_s for outcome in outcomes),
            "ttft_s": mean_of(outcome.ttft for outcome in outcomes),
            "tpot_s": mean_of(outcome.tpot for outcome in outcomes),
        }
        figures = {name: figure(value) for name, value in means.items()}
        requests = sum(outcome.finished for outcome in outcomes)
        return stated.model_copy(update={**figures, "requests": requests})

    def _run(self, traffic: Traffic, policy: Policy, window: Window) -> Outcome:
        return simulate(self.pipeline, traffic, policy, window)

    def _policy(self, stated: Scheduling) -> Policy:
        return WHOLE if stated == "whole" else policy_of_plan(self.plan)

    @property
    def _lengths(self) -> SpreadLengths:
        return spread_lengths(self.plan.workload)


def _queueing(plan: Plan) -> dict[str, object]:
    """Return the mean times by the queueing model, at the flows of the plan's routes."""
    back = read_back(build_problem(Spec.of(plan)), plan.stages, replica_numbers(plan))
    network = build_network(back.problem.spec, back.stages)
    position = {
        stage.id: network.stages.index(placed)
        for stage, placed in zip(plan.stages, back.stages, strict=True)
    }
    paths = [
        Path(tuple(position[hop.stage] for hop in route.hops), int(route.tokens_per_s * MICRO))
        for route in plan.routes
    ]
    stations = [station_of(back.problem, placed).station for placed in network.stages]
    times = times_of(back.problem, network, stations, paths)
    return {"ttft_s": figure(times.ttft_s), "tpot_s": figure(times.tpot_s)}


def _times_s(run: SimulatedRate | RateRun) -> tuple[float, float]:
    return float(run.duration_s), float(run.warmup_s)
