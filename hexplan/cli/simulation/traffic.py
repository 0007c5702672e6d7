"""What requests come to a simulation, and whether it can run them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hexplan.errors import InputError

if TYPE_CHECKING:
    from hexplan.plan import Plan
    from hexplan_solver.simulate import Policy, Traffic

MOST_REQUESTS = 10_000_000
"""The most requests of one simulation: a core simulates hundreds to thousands a second."""


def traffic_of(plan: Plan, rate: str | None, trace: Path | None, *, is_offline: bool) -> Traffic:
    """Return the requests that options ask for, or the workload's."""
    from hexplan_solver.simulate import Offline, Poisson, Replay, SpreadLengths
    from hexplan_solver.simulate.traces import read_trace

    workload = plan.workload
    if is_offline and (rate is not None or trace is not None):
        message = "--offline: found it with --rate or --trace, needed only one of them"
        raise InputError(message)
    requests_per_s = _requests_per_s(rate)
    if trace is not None:
        requests = read_trace(trace)
        if requests_per_s is None:
            return Replay(requests)
        return Replay(requests, requests_per_s * requests[-1][0] / len(requests) or 1.0)
    lengths = SpreadLengths(workload.prompt_tokens, workload.output_tokens)
    requests_per_s = requests_per_s or workload.request_rate_per_s
    if is_offline or requests_per_s is None:
        return Offline(lengths)
    return Poisson(requests_per_s, lengths)


def require_countable(plan: Plan, traffic: Traffic, duration_s: float | None) -> None:
    """Refuse a simulation that would take too long."""
    from hexplan_solver.simulate import Poisson

    if duration_s is None:
        return
    rate = float(plan.predicted.requests_per_s)
    if isinstance(traffic, Poisson):
        rate = traffic.requests_per_s
    if rate * duration_s > MOST_REQUESTS:
        message = (
            f"--rate and --duration: found {rate:g} requests/s for {duration_s:g} s ="
            f" {rate * duration_s:.3g} requests, needed at most {MOST_REQUESTS:.3g}"
        )
        raise InputError(message, hint="simulate a shorter time: rates settle within minutes")


def _requests_per_s(text: str | None) -> float | None:
    from hexplan.units import QuantityError, parse_rate

    try:
        return None if text is None else parse_rate(text)
    except QuantityError as error:
        message = f"--rate: {error.message}"
        raise InputError(message, hint=error.hint) from error


def require_queue(policy: Policy, traffic: Traffic, *, is_split: bool) -> None:
    """Refuse a queue where requests do not wait for room, or do not keep to the plan's routes."""
    from hexplan_solver.simulate import Offline

    if policy.queue == "fcfs":
        return
    problem = "--offline, where nobody waits" if isinstance(traffic, Offline) else None
    if policy.routing != "routes":
        problem = "--policy whole, which is first come, first served"
    if is_split:
        problem = "--prefill-stages, whose requests are first come, first served"
    if problem is not None:
        message = f"--queue: found {policy.queue} with {problem}"
        raise InputError(message, hint="add `--queue fcfs`")
