"""The outcome, computed from the record of a simulation."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate, pairwise

import numpy as np
import numpy.typing as npt

from hexplan.results.outcome import Attainment, Outcome, Spread, StageUse, TimePoint
from hexplan.schedule.queueing.work import Work
from hexplan_solver.simulate.params import SIMULATE_PARAMS
from hexplan_solver.simulate.pipeline_model import PipelineModel
from hexplan_solver.simulate.policy import Policy
from hexplan_solver.simulate.queueing.work import work_of
from hexplan_solver.simulate.recorder import Recorder, Snapshot, detect_warmup
from hexplan_solver.simulate.simulation import Simulation
from hexplan_solver.simulate.window import Slo, Window

Floats = npt.NDArray[np.float64]
SHORTEST_PERIOD = 1e-9
"""Least distance between two points of the timeline, as a share of the run."""


def summarise(
    simulation: Simulation, pipeline: PipelineModel, policy: Policy, window: Window
) -> Outcome:
    """Return the outcome of a run that has ended."""
    recorder = simulation.recorder
    snapshots = recorder.snapshots
    is_detected = window.warmup_s is None
    first = detect_warmup(snapshots) if is_detected else _index(snapshots, window.warmup_s or 0.0)
    begin, end = snapshots[first], snapshots[-1]
    span_s = max(end.at_s - begin.at_s, 1e-12)
    stays = _Stays(recorder, begin.at_s)
    gaps: Counter[int] = sum(recorder.gaps[first + 1 :], Counter())
    is_compared = window.has_slowdowns and bool(pipeline.routes)
    slowdowns = stays.slowdowns(work_of(pipeline, policy)) if is_compared else np.array([])
    return Outcome(
        policy=policy.name,
        seed=window.seed,
        duration_s=end.at_s,
        warmup_s=begin.at_s,
        is_warmup_detected=is_detected,
        arrived=end.arrived,
        finished=end.finished,
        turned_away=recorder.turned_away,
        unfinished=end.waiting + end.running,
        restarts=recorder.restarts,
        queue=policy.queue,
        swaps=recorder.swaps,
        requests_per_s=(end.finished - begin.finished) / span_s,
        output_tokens_per_s=(end.tokens - begin.tokens) / span_s,
        decode_tokens_per_s=(end.decoded - begin.decoded) / span_s,
        ttft=_spread(stays.ttft),
        tpot=_spread(stays.tpot),
        itl=_gap_spread(gaps),
        e2e=_spread(stays.e2e),
        mean_slowdown=float(np.mean(slowdowns)) if len(slowdowns) else None,
        max_slowdown=float(np.max(slowdowns)) if len(slowdowns) else None,
        slo=_attainment(simulation, window.slo, begin.at_s, span_s) if window.slo else None,
        stages=_uses(pipeline, snapshots[first:]),
        timeline=_timeline(snapshots),
        warnings=tuple(_warnings(simulation, pipeline, stays, span_s)),
    )


def _index(snapshots: Sequence[Snapshot], warmup_s: float) -> int:
    ends = (i for i, snapshot in enumerate(snapshots) if snapshot.at_s >= warmup_s)
    return next(ends, len(snapshots) - 1)


class _Stays:
    """Times of the requests whose last token (for TTFT: first) came in the measured time."""

    def __init__(self, recorder: Recorder, begin_s: float) -> None:
        arrival, first = np.array(recorder.arrival_s), np.array(recorder.first_s)
        last, output = np.array(recorder.last_s), np.array(recorder.output_tokens)
        is_in = last >= begin_s
        self.ttft: Floats = (first - arrival)[first >= begin_s]
        self.e2e: Floats = (last - arrival)[is_in]
        self._lengths = [
            (prompt, output)
            for prompt, output, counts in zip(
                recorder.prompt_tokens, recorder.output_tokens, is_in, strict=True
            )
            if counts
        ]
        several = is_in & (output > 1)
        self.tpot: Floats = ((last - first)[several]) / (output[several] - 1)

    def slowdowns(self, work: Work) -> Floats:
        """Return how many times as long requests took as they would have taken alone."""
        alone_s = np.array([work.request_s(*lengths) for lengths in self._lengths])
        slowdowns: Floats = self.e2e / alone_s
        return slowdowns


def _spread(values: Floats) -> Spread | None:
    if not len(values):
        return None
    percentiles = np.percentile(values, np.arange(1, 100))
    return _named(float(np.mean(values)), [float(value) for value in percentiles])


def _gap_spread(gaps: Counter[int]) -> Spread | None:
    total = sum(gaps.values())
    if not total:
        return None
    steps = sorted(gaps)
    values = [math.exp((step + 0.5) / SIMULATE_PARAMS.gap_steps) for step in steps]
    seen = list(accumulate(gaps[step] for step in steps))
    mean = sum(value * gaps[step] for value, step in zip(values, steps, strict=True)) / total
    return _named(mean, [values[bisect_left(seen, p / 100 * total)] for p in range(1, 100)])


def _named(mean_s: float, percentiles: list[float]) -> Spread:
    return Spread(
        mean_s=mean_s,
        p50_s=percentiles[49],
        p90_s=percentiles[89],
        p99_s=percentiles[98],
        percentiles_s=tuple(percentiles),
    )


def _attainment(simulation: Simulation, slo: Slo, begin_s: float, span_s: float) -> Attainment:
    recorder = simulation.recorder
    arrival, first = np.array(recorder.arrival_s), np.array(recorder.first_s)
    last, output = np.array(recorder.last_s), np.array(recorder.output_tokens)
    tpot = (last - first) / np.maximum(output - 1, 1)
    kept = (first - arrival <= slo.ttft_s) & (tpot <= slo.tpot_s)
    counted = arrival >= begin_s
    unfinished = [*simulation.admission.waiting, *simulation.admission.running.values()]
    # A request that has waited for longer than promised has missed it, finished or not.
    late = sum(
        r.arrival_s >= begin_s
        and (r.first_s if r.first_s >= 0 else simulation.now_s) - r.arrival_s > slo.ttft_s
        for r in unfinished
    )
    known = int(np.sum(counted)) + late
    return Attainment(
        ttft_s=slo.ttft_s if math.isfinite(slo.ttft_s) else None,
        tpot_s=slo.tpot_s if math.isfinite(slo.tpot_s) else None,
        attainment=float(np.sum(kept & counted)) / known if known else 0.0,
        goodput_requests_per_s=float(np.sum(kept & (last >= begin_s))) / span_s,
    )


def _uses(pipeline: PipelineModel, snapshots: Sequence[Snapshot]) -> tuple[StageUse, ...]:
    begin, end = snapshots[0], snapshots[-1]
    span_s = max(end.at_s - begin.at_s, 1e-12)
    return tuple(
        StageUse(
            stage=stage.name,
            phase=stage.phase,
            busy=(end.busy_s[j] - begin.busy_s[j]) / span_s,
            mean_kv=sum(s.kv_share[j] for s in snapshots) / len(snapshots),
            max_kv=max(s.kv_share[j] for s in snapshots),
            mean_queued_tokens=sum(s.queued_tokens[j] for s in snapshots) / len(snapshots),
        )
        for j, stage in enumerate(pipeline.stages)
    )


def _timeline(snapshots: Sequence[Snapshot]) -> tuple[TimePoint, ...]:
    # Rounding may put the last snapshot just before the end of the run: too near to give a rate.
    apart_s = SHORTEST_PERIOD * snapshots[-1].at_s
    return tuple(
        TimePoint(
            at_s=now.at_s,
            output_tokens_per_s=(now.tokens - before.tokens) / (now.at_s - before.at_s),
            waiting=now.waiting,
            running=now.running,
            busy=tuple(
                (b - a) / (now.at_s - before.at_s)
                for a, b in zip(before.busy_s, now.busy_s, strict=True)
            ),
            kv=now.kv_share,
            queued_tokens=now.queued_tokens,
        )
        for before, now in pairwise(snapshots)
        if now.at_s - before.at_s > apart_s
    )


def _warnings(
    simulation: Simulation, pipeline: PipelineModel, stays: _Stays, span_s: float
) -> list[str]:
    warnings = []
    if not len(stays.e2e):
        warnings.append("no request was finished in the measured time")
    elif span_s < SIMULATE_PARAMS.long_enough * float(np.mean(stays.e2e)):
        stay_s = float(np.mean(stays.e2e))
        warnings.append(
            f"the run is short: it measures {span_s:.0f} s, and a request stays {stay_s:.0f} s; "
            f"{SIMULATE_PARAMS.long_enough:.0f} times that is enough"
        )
    for stage, state in zip(pipeline.stages, simulation.stage_states, strict=True):
        measured = stage.steps.measured_tokens
        for phase, most, last in zip(
            ("prompt", "decode"), state.largest_step, measured or (math.inf,) * 2, strict=True
        ):
            if most > last:
                warnings.append(
                    f"stage {stage.name}: a step had {most} {phase} tokens, measured were at most "
                    f"{last}; beyond, time grows in proportion"
                )
    return warnings
