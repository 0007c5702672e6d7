"""Sustained rate: figures that no proof covers, but that can be impossible."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from hexplan.check.lookup import Lookup
from hexplan.check.rules import SUSTAINED_WRONG, Violation
from hexplan.check.text import number
from hexplan.noun import RATE_DIGITS
from hexplan.plan import SimulatedRate

RATE_UNIT = Decimal(1).scaleb(-RATE_DIGITS)


def sustained_violations(lookup: Lookup) -> Iterator[Violation]:
    """Yield a sustained rate that no run can have given."""
    rate = lookup.plan.predicted.sustained
    if (rate is None or rate.simulated is None) and lookup.plan.objective == "sustained":
        message = "the objective sustained needs a simulated rate"
        yield SUSTAINED_WRONG.at("prediction, sustained", message)
    if rate is None:
        return
    yield from _rates(lookup, rate.decode_tokens_per_s, rate.requests_per_s, "sustained")
    if rate.simulated is not None:
        found = rate.simulated
        yield from _rates(lookup, found.decode_tokens_per_s, found.requests_per_s, "simulated")
        yield from _runs(found)


def _rates(
    lookup: Lookup, decode_tokens_per_s: Decimal, requests_per_s: Decimal, name: str
) -> Iterator[Violation]:
    longest = lookup.plan.workload.output_tokens.max
    # Both are rounded down, so up to one unit more of requests may be behind the tokens.
    is_none = decode_tokens_per_s == 0 < requests_per_s
    if is_none or decode_tokens_per_s > (requests_per_s + RATE_UNIT) * longest:
        message = (
            f"states {number(decode_tokens_per_s)} tokens/s for {number(requests_per_s)}"
            f" requests/s; needed more than 0, and at most {longest} a request"
        )
        yield SUSTAINED_WRONG.at(f"prediction, {name}", message)


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
