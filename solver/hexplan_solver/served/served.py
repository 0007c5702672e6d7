"""The served rate: the fixed point of requests in flight and their round trip."""

from __future__ import annotations

from dataclasses import dataclass

from hexplan.workload import Workload
from hexplan_solver.served.blocking import blocked_s
from hexplan_solver.served.in_flight import requests_in_flight
from hexplan_solver.served.params import SERVED_PARAMS
from hexplan_solver.served.request import mean_request
from hexplan_solver.served.round_trip import RoundTrip
from hexplan_solver.served.shares import shares_of
from hexplan_solver.simulate import CHUNKED, PipelineModel, Policy


@dataclass(frozen=True, slots=True)
class ServedRate:
    """What a pipeline serves for long."""

    decode_tokens_per_s: float
    requests_per_s: float
    in_flight: float
    """Requests at a time."""
    round_trip_s: float
    """From one decoded token to the next."""
    hops: float
    """Stages that a mean request visits."""
    busy: float
    """Share of the time in which the busiest stage runs a step."""
    ttft_s: float | None = None
    """From the admission of a request to its first token; None where prompts run whole."""
    tpot_s: float | None = None
    """Mean time from one token to the next; None where prompts run whole."""

    @property
    def residence_s(self) -> float:
        """How long a request stays."""
        return self.in_flight / self.requests_per_s


def served_rate(
    pipeline: PipelineModel, workload: Workload, policy: Policy = CHUNKED
) -> ServedRate:
    """Solve `N = X (D_dec round(X) + TTFT(X))` for the rate X of requests per second.

    N is what the KV cache admits, and `round` the round trip, which grows with X (Little's law on
    the closed network; docs/served_rate.md). Where prompts run whole, `round` is the time for which
    they block others: that puts the placements of one cluster in order, but does not estimate the
    rate.
    """
    served = served_above(0.0, pipeline, workload, policy)
    assert served is not None, "some rate is carried"
    return served


def decodes_a_hop(pipeline: PipelineModel, workload: Workload, policy: Policy) -> float:
    """Return the requests in flight for each stage that a mean request visits."""
    shares = shares_of(pipeline)
    request = mean_request(workload, policy)
    return max(1.0, requests_in_flight(pipeline, shares, request, policy)) / shares.hops


def served_above(
    decode_tokens_per_s: float, pipeline: PipelineModel, workload: Workload, policy: Policy
) -> ServedRate | None:
    """Return the served rate, or at once nothing where it is below a rate of decoded tokens."""
    shares = shares_of(pipeline)
    request = mean_request(workload, policy)
    in_flight = max(1.0, requests_in_flight(pipeline, shares, request, policy))
    if policy.chunk_tokens is None:
        round_trip_s = blocked_s(pipeline, shares, request)
        rate = in_flight / round_trip_s
        if rate < decode_tokens_per_s:
            return None
        requests_per_s = rate / request.decode_tokens
        return ServedRate(rate, requests_per_s, in_flight, round_trip_s, shares.hops, 1.0)
    trip = RoundTrip(pipeline, shares, request, in_flight, policy)

    def is_carried(requests_per_s: float) -> bool:
        times = trip.at(requests_per_s)
        stay_s = times and request.decode_tokens * times[0] + times[1]
        return stay_s is not None and requests_per_s * stay_s <= in_flight

    least = decode_tokens_per_s / request.decode_tokens
    low = high = in_flight / (request.decode_tokens * trip.idle_s)
    if least > high or (least > 0 and not is_carried(least)):
        return None
    while not is_carried(low):
        low, high = low / 2, low
    for _ in range(SERVED_PARAMS.bisections):
        middle = (low + high) / 2
        low, high = (middle, high) if is_carried(middle) else (low, middle)
    round_trip_s = (in_flight / low) / request.decode_tokens
    busy, times = trip.busy_at(low), trip.at(low)
    assert times is not None, "the rate is carried"
    decoded = low * request.decode_tokens
    return ServedRate(
        decoded, low, in_flight, round_trip_s, shares.hops, busy, ttft_s=times[1], tpot_s=times[0]
    )
