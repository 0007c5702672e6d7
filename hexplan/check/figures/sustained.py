"""Sustained rate: figures that no proof covers, but that can be impossible."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from hexplan.check.lookup import Lookup
from hexplan.check.rules import SUSTAINED_WRONG, Violation
from hexplan.check.stage.sizes import length
from hexplan.check.stage.speed import profile_of
from hexplan.check.text import RATE_STEP, exact, number, round_down
from hexplan.plan import SimulatedRate, Stage, SustainedRate


def sustained_violations(lookup: Lookup) -> Iterator[Violation]:
    """Yield a sustained rate that no run can have given."""
    rate = lookup.plan.predicted.sustained
    if (rate is None or rate.simulated is None) and lookup.plan.objective == "sustained":
        message = "the objective sustained needs a simulated rate"
        yield SUSTAINED_WRONG.at("prediction, sustained", message)
    if rate is None:
        return
    yield from _rates(lookup, rate, Fraction(0), "sustained")
    if rate.simulated is not None:
        found = rate.simulated
        yield from _rates(lookup, found, _open_requests_per_s(lookup, rate, found), "simulated")
        yield from _runs(found)


def _rates(
    lookup: Lookup, rate: SustainedRate | SimulatedRate, open_per_s: Fraction, name: str
) -> Iterator[Violation]:
    output = lookup.plan.workload.output_tokens
    decoded, finished = exact(rate.decode_tokens_per_s), exact(rate.requests_per_s)
    # An output of one token comes with the prompt, and nothing is decoded.
    is_none = decoded == 0 < finished and output.mean > 1
    # Both are rounded, so up to one step more of requests may be behind the tokens.
    if is_none or decoded > (finished + RATE_STEP + open_per_s) * output.max:
        unfinished = f" and {number(round_down(open_per_s))}/s unfinished" if open_per_s else ""
        message = (
            f"states {number(decoded)} tokens/s for {number(finished)} requests/s{unfinished};"
            f" needed more than 0, and at most {output.max} a request"
        )
        yield SUSTAINED_WRONG.at(f"prediction, {name}", message)


def _open_requests_per_s(lookup: Lookup, rate: SustainedRate, simulated: SimulatedRate) -> Fraction:
    """Return how many longest outputs requests in flight at the end may have got, per second.

    What was decoded for them was measured, but they did not finish. All of it is in the KV cache.
    A request of p prompt tokens that keeps room for all of its output, as `chunked` reserves it,
    holds at least p + d of the room for d tokens decoded. So all such d sum to at most the room
    times `longest / (shortest prompt + longest)`. Other schedulers may reserve less and put
    requests out, which wait with what they have got; but all of them were in flight at once, each
    with a prompt and a token at least, before the first was put out.
    """
    plan = lookup.plan
    measured_s = exact(simulated.duration_s) - exact(simulated.warmup_s)
    if measured_s <= 0:
        return Fraction(0)
    is_reserved = rate.policy == "chunked"
    placed = [stage for stage in plan.stages if lookup.is_placed(stage)]
    room = sum(_room(lookup, stage, is_reserved=is_reserved) for stage in placed)
    prompt = plan.workload.prompt_tokens
    # If none is longer than the mean, none is shorter.
    shortest = prompt.max if prompt.mean == prompt.max else 1
    kept = shortest + (plan.workload.output_tokens.max if is_reserved else 1)
    return Fraction(room, plan.model.layers * kept) / measured_s


def _room(lookup: Lookup, stage: Stage, *, is_reserved: bool) -> int:
    """Return the KV room of a stage, in tokens times layers."""
    held = length(stage.layers)
    tokens = stage.kv_tokens
    profile = profile_of(lookup, stage)
    if not is_reserved and profile is not None and held <= len(profile.kv_tokens):
        # Published schedulers go by what was measured.
        tokens = max(tokens, profile.kv_tokens[held - 1])
    return held * tokens


def _runs(simulated: SimulatedRate) -> Iterator[Violation]:
    where = "prediction, simulated"
    if not simulated.seeds or len(set(simulated.seeds)) < len(simulated.seeds):
        message = f"the seeds of its runs are {list(simulated.seeds)}, needed each once"
        yield SUSTAINED_WRONG.at(where, message)
    if simulated.warmup_s >= simulated.duration_s:
        message = (
            f"leaves out {number(simulated.warmup_s)} s of {number(simulated.duration_s)} s:"
            " nothing was measured"
        )
        yield SUSTAINED_WRONG.at(where, message)
