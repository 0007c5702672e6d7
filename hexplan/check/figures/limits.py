"""Served rates and mean times that no schedule reaches on the plan's placement."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from math import isqrt

from hexplan.check.exact import RATE_STEP, exact
from hexplan.check.figures.possible import most_requests_per_s
from hexplan.check.figures.quickest import Prompts, quickest
from hexplan.check.lookup import Lookup
from hexplan.check.rule import Rule, Violation
from hexplan.check.stage.memory import workspace_tokens
from hexplan.check.stage.sizes import length
from hexplan.check.text import number
from hexplan.cluster import Scheduling
from hexplan.predicted import RateRun, SimulatedRate

REHEARSED_TOLERANCE = Fraction(1, 10)
"""By how much a rehearsed rate may exceed what is possible: at the ends of the time that it
measures, some messages more or less count.

Of 60 plans on made-up machines the worst was 0.4 % above; another one, with routes held back, was
5.1 % above. `--simulate` is exact.
"""
FORMULA_TIMES = Decimal("0.5")
"""Share of the least possible time that a mean time by the formula may be.

It takes the chunks of a prompt to follow each other through the stages; 0.69 was seen on a made-up
machine.
"""
DEVIATIONS = 5
"""Standard errors by which the mean length of a run's requests may be off.

The lengths' standard deviation is at most their mean (docs/simulation.md).
"""
FLOAT_TOLERANCE = Fraction(1, 10**6)
"""How far a time may be off, as a share of it, because it was simulated in floats."""

RATE_IMPOSSIBLE = Rule(
    "HEX717",
    "rate-impossible",
    "A served rate is at most what the placement can serve if steps are filled as well as their"
    " limits allow: the prices of the cut, times the least that a mean request takes of each"
    " capacity; and at most the requests that the KV cache holds, over the quickest stay. A"
    " rehearsed rate may be a tenth more, as it measures a short time; a run may be above by"
    " the chance of its lengths, and by what was in flight when it began to measure. An SLO's rate"
    " may also be the flow's, and so may the rate of a run under the objective latency. Where"
    " stages serve one phase each,"
    " those of each phase count by the least that a mean request takes of them, and no flow does.",
)


def limit_violations(lookup: Lookup) -> Iterator[Violation]:
    """Yield rates above what is possible, and times below it."""
    yield from _rates(lookup)
    yield from _times(lookup)


def _rates(lookup: Lookup) -> Iterator[Violation]:
    predicted = lookup.plan.predicted
    sustained, run = predicted.sustained, predicted.run
    if sustained is not None:
        most = most_requests_per_s(lookup, sustained.policy)
        # Where prompts run whole, the formula only puts placements in order.
        if most is not None and sustained.policy == "chunked":
            raised = most * (1 + REHEARSED_TOLERANCE)
            yield from _above(sustained.requests_per_s, raised, "prediction, sustained")
        if most is not None and sustained.simulated is not None:
            raised = _in_a_run(lookup, sustained.simulated, most)
            yield from _above(sustained.simulated.requests_per_s, raised, "prediction, simulated")
    carried, where = predicted.slo_requests_per_s, "prediction, slo_requests_per_s"
    if carried is None and run is not None and lookup.plan.objective == "latency":
        carried, where = run.requests_per_s, "prediction, run"
    if run is not None and carried is not None:
        most = most_requests_per_s(lookup, run.policy)
        if most is not None:
            # The flow's rate is rounded down, and that of a run to the nearest.
            raised = _in_a_run(lookup, run, most)
            if not lookup.plan.handovers:
                raised = max(raised, exact(predicted.requests_per_s) + RATE_STEP)
            yield from _above(carried, raised, where)


def _above(stated: object, most: Fraction, where: str) -> Iterator[Violation]:
    rate = Fraction(str(stated))
    if rate > most + RATE_STEP:
        message = f"states {number(rate)} requests/s, but at most {number(most)} are possible"
        yield RATE_IMPOSSIBLE.at(where, message)


def _in_a_run(lookup: Lookup, run: SimulatedRate | RateRun, most: Fraction) -> Fraction:
    """Return what a run of such a length may have served, at most."""
    plan = lookup.plan
    measured_s = exact(run.duration_s) - exact(run.warmup_s)
    placed = [stage for stage in plan.stages if lookup.is_placed(stage)]
    room = sum(length(stage.layers) * stage.room_tokens for stage in placed)
    in_flight = Fraction(room, plan.model.layers * plan.workload.mean_tokens)
    begun = in_flight / measured_s if measured_s > 0 else Fraction(0)
    return most * (1 + _chance(run)) + begun


def _chance(run: SimulatedRate | RateRun) -> Fraction:
    """Return by how much a run's mean length may be off, as a share of it."""
    return Fraction(DEVIATIONS, max(1, isqrt(run.requests)))


TIME_IMPOSSIBLE = Rule(
    "HEX718",
    "time-impossible",
    "A mean TTFT is at least the seconds of the prompt's steps on the quickest route, half of them"
    " where large steps run in two lanes. A mean TPOT is at least those of a step with one decode"
    " in each of its stages. Both have the latencies of the links. Simulated prompts may be shorter"
    " by the chance of their lengths, and times by the formula, under the objective balanced, half"
    " as long.",
)


def _times(lookup: Lookup) -> Iterator[Violation]:
    predicted = lookup.plan.predicted
    sustained, run = predicted.sustained, predicted.run
    if sustained is not None and sustained.simulated is not None:
        simulated = sustained.simulated
        prompts = _prompts(lookup, sustained.policy, simulated)
        times = simulated.ttft_s or None, simulated.tpot_s or None  # 0 if none was measured
        yield from _below(lookup, prompts, times, "prediction, simulated")
    if predicted.balance is not None and run is None and sustained is not None:
        prompts = _prompts(lookup, sustained.policy, None)
        ttft_s, tpot_s = (
            time_s / FORMULA_TIMES if time_s else None
            for time_s in (predicted.ttft_s, predicted.tpot_s)  # 0 if no second token comes
        )
        yield from _below(lookup, prompts, (ttft_s, tpot_s), "prediction")
    elif predicted.ttft_s is not None or predicted.tpot_s is not None:
        prompts = _prompts(lookup, run.policy if run else "whole", run)
        times = predicted.ttft_s or None, predicted.tpot_s or None  # 0 if none was measured
        yield from _below(lookup, prompts, times, "prediction", is_scaled=run is None)


def _prompts(lookup: Lookup, policy: Scheduling, run: SimulatedRate | RateRun | None) -> Prompts:
    plan, lengths = lookup.plan, lookup.plan.workload.prompt_tokens
    tokens = lengths.mean
    if run is not None and lengths.mean < lengths.max:
        tokens = max(1, int(tokens * (1 - _chance(run))))
    if policy == "whole":
        return Prompts(tokens, None)
    most = plan.step_limits.tokens if plan.step_limits else workspace_tokens(plan)
    # Of prompts of several lengths, some are cut if the longest is.
    is_whole = lengths.max <= most
    return Prompts(tokens, None if is_whole else min(most, tokens))


def _below(
    lookup: Lookup,
    prompts: Prompts,
    times: tuple[object, object],
    where: str,
    *,
    is_scaled: bool = False,
) -> Iterator[Violation]:
    least = quickest(lookup, prompts, is_scaled=is_scaled)
    if least is None:
        return
    for name, stated, bound in zip(
        ("ttft_s", "tpot_s"), times, (least.ttft_s, least.tpot_s), strict=True
    ):
        if stated is None:
            continue
        seconds = Fraction(str(stated))
        if seconds + RATE_STEP < bound * (1 - FLOAT_TOLERANCE):
            message = f"states {number(seconds)} s, but the quickest route takes {number(bound)} s"
            yield TIME_IMPOSSIBLE.at(f"{where}, {name}", message)
