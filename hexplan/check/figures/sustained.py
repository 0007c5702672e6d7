"""Sustained rate: figures without a proof, which can still be impossible."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from hexplan.check.exact import RATE_STEP, exact, round_down
from hexplan.check.lookup import Lookup
from hexplan.check.rule import Rule, Violation
from hexplan.check.stage.sizes import length
from hexplan.check.stage.speed import profile_of
from hexplan.check.text import number
from hexplan.constants import SERVED_BASIS
from hexplan.plan import Stage
from hexplan.predicted import RateRun, SimulatedRate, SustainedRate

MEAN_TOLERANCE = Fraction(1, 200)
"""How far the formula's decodes a request may be from the workload's mean, as a share of it.

The formula takes means over quantiles of the lengths, which come within 0.1 % on the examples.
"""
SNAPSHOTS = 200
"""Parts of a simulated time at whose ends the simulator counts."""

SUSTAINED_WRONG = Rule(
    "HEX714",
    "sustained-wrong",
    "A sustained rate is above 0, unless outputs have one token, and emits at most the longest"
    " output for each request; by the formula, the mean output. A simulated one may add what"
    " requests got that are in flight at the end, as far as the KV room keeps it (served_rate.md);"
    " it names each seed once, measures some time, and states no fewer requests than finished in"
    " it; under the objective sustained there is one.",
)


def sustained_violations(lookup: Lookup) -> Iterator[Violation]:
    """Yield sustained rates that no run can have had."""
    rate = lookup.plan.predicted.sustained
    if (rate is None or rate.simulated is None) and lookup.plan.objective == "sustained":
        message = "the objective sustained needs a simulated rate"
        yield SUSTAINED_WRONG.at("prediction, sustained", message)
    if rate is None:
        return
    yield from _formula(lookup, rate)
    yield from _rates(lookup, rate, Fraction(0), "sustained")
    if rate.simulated is not None:
        unfinished = _unfinished_requests_per_s(lookup, rate, rate.simulated)
        yield from _rates(lookup, rate.simulated, unfinished, "simulated")
        yield from run_violations(rate.simulated, "prediction, simulated")
        yield from _finished(rate.simulated)


def _formula(lookup: Lookup, rate: SustainedRate) -> Iterator[Violation]:
    """Yield another basis than the scheduler's, and decodes that are not the output's."""
    where, basis = "prediction, sustained", SERVED_BASIS[rate.policy]
    if rate.basis != basis:
        yield SUSTAINED_WRONG.at(where, f"its basis is {rate.basis}, needed {basis}")
    # The prompt gives the first token where it is chunked; some token is decoded in any case.
    each = max(1, lookup.plan.workload.output_tokens.mean - (rate.policy == "chunked"))
    decoded, finished = exact(rate.decode_tokens_per_s), exact(rate.requests_per_s)
    if abs(decoded - each * finished) > MEAN_TOLERANCE * each * finished + each * RATE_STEP:
        message = (
            f"states {number(decoded)} tokens/s for {number(finished)} requests/s; needed {each}"
            f" a request, within {number(MEAN_TOLERANCE)} of it"
        )
        yield SUSTAINED_WRONG.at(where, message)


def _finished(simulated: SimulatedRate) -> Iterator[Violation]:
    """Yield a number of requests that is less than what finished in the measured time."""
    duration_s, warmup_s = exact(simulated.duration_s), exact(simulated.warmup_s)
    measured_s = duration_s - warmup_s - duration_s / SNAPSHOTS
    least = exact(simulated.requests_per_s) * measured_s * len(simulated.seeds)
    if simulated.requests < least - 1:
        message = (
            f"states {simulated.requests} requests, but its rate makes {number(round(least))} in"
            " the measured time"
        )
        yield SUSTAINED_WRONG.at("prediction, simulated", message)


def _rates(
    lookup: Lookup,
    rate: SustainedRate | SimulatedRate,
    unfinished_per_s: Fraction,
    name: str,
) -> Iterator[Violation]:
    output = lookup.plan.workload.output_tokens
    decoded, finished = exact(rate.decode_tokens_per_s), exact(rate.requests_per_s)
    # An output of one token comes from the prompt step, so nothing is decoded.
    is_none = decoded == 0 < finished and output.mean > 1
    # Both rates are rounded, so up to one step more of requests may have made these tokens.
    if is_none or decoded > (finished + RATE_STEP + unfinished_per_s) * output.max:
        rest = (
            f" and {number(round_down(unfinished_per_s))}/s unfinished" if unfinished_per_s else ""
        )
        message = (
            f"states {number(decoded)} tokens/s for {number(finished)} requests/s{rest};"
            f" needed more than 0, and at most {output.max} per request"
        )
        yield SUSTAINED_WRONG.at(f"prediction, {name}", message)


def _unfinished_requests_per_s(
    lookup: Lookup, rate: SustainedRate, simulated: SimulatedRate
) -> Fraction:
    """Return an upper bound on the outputs of unfinished requests, in longest outputs per second.

    The tokens of requests in flight at the end were counted, though these did not finish. All of
    them are in the KV cache. The scheduler `chunked` reserves room for a request's whole output, so
    a request of p prompt tokens with d decoded tokens holds at least p + d tokens of room, and all
    such d sum to at most the room times `longest / (shortest prompt + longest)`. Other schedulers
    may reserve less and preempt requests, which then wait with the tokens they have. But all of
    these were in flight at once, each with at least its prompt and one token, before the first was
    preempted.
    """
    plan = lookup.plan
    measured_s = exact(simulated.duration_s) - exact(simulated.warmup_s)
    if measured_s <= 0:
        return Fraction(0)
    is_reserved = rate.policy == "chunked"
    placed = [stage for stage in plan.stages if lookup.is_placed(stage)]
    kv_room = sum(_kv_room(lookup, stage, is_reserved=is_reserved) for stage in placed)
    prompt = plan.workload.prompt_tokens
    # If no prompt is longer than the mean, none is shorter.
    shortest = prompt.max if prompt.mean == prompt.max else 1
    kept = shortest + (plan.workload.output_tokens.max if is_reserved else 1)
    return Fraction(kv_room, plan.model.layers * kept) / measured_s


def _kv_room(lookup: Lookup, stage: Stage, *, is_reserved: bool) -> int:
    """Return the KV room of a stage, in tokens times layers."""
    held = length(stage.layers)
    tokens = stage.room_tokens
    profile = profile_of(lookup, stage)
    if not is_reserved and profile is not None and held <= len(profile.kv_tokens):
        # Published schedulers use the measured room.
        tokens = max(tokens, profile.kv_tokens[held - 1])
    return held * tokens


def run_violations(simulated: SimulatedRate | RateRun, where: str) -> Iterator[Violation]:
    """Yield runs without a seed or a measured time, and seeds that count twice."""
    if not simulated.seeds or len(set(simulated.seeds)) < len(simulated.seeds):
        message = (
            f"the seeds of its runs are {list(simulated.seeds)}, needed at least one and each once"
        )
        yield SUSTAINED_WRONG.at(where, message)
    if simulated.warmup_s >= simulated.duration_s:
        message = (
            f"leaves out {number(simulated.warmup_s)} s of {number(simulated.duration_s)} s:"
            " nothing was measured"
        )
        yield SUSTAINED_WRONG.at(where, message)
