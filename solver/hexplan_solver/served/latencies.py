"""The latencies of a mean request at a part of the served rate, by the formula."""

from __future__ import annotations

from dataclasses import dataclass

from hexplan.workload import Workload
from hexplan_solver.served.params import SERVED_PARAMS
from hexplan_solver.served.request import mean_request
from hexplan_solver.served.round_trip import RoundTrip
from hexplan_solver.served.served import ServedRate
from hexplan_solver.served.shares import shares_of
from hexplan_solver.simulate import PipelineModel, Policy


@dataclass(frozen=True, slots=True)
class MeanLatencies:
    """Mean times of a request."""

    ttft_s: float
    """From its arrival to its first token."""
    tpot_s: float
    """From one token to the next."""


def latencies_at(
    load: float, pipeline: PipelineModel, workload: Workload, policy: Policy, served: ServedRate
) -> MeanLatencies | None:
    """Return the mean latencies at a share of the served rate; None where prompts run whole.

    Fewer requests are then in flight than the KV cache admits, and travel in smaller clumps. Their
    number N is the fixed point of Little's law, `N = load X (D_dec round(N) + TTFT(N))`.
    """
    if served.ttft_s is None or served.tpot_s is None:
        return None
    shares, request = shares_of(pipeline), mean_request(workload, policy)
    rate, in_flight = load * served.requests_per_s, served.in_flight
    found = MeanLatencies(served.ttft_s, served.tpot_s)
    for _ in range(SERVED_PARAMS.load_rounds):
        times = RoundTrip(pipeline, shares, request, max(1.0, in_flight), policy).at(rate)
        if times is None:
            # Clumps this small keep some stage busy all the time.
            in_flight = (in_flight + served.in_flight) / 2
            continue
        found = MeanLatencies(times[1], times[0])
        stay_s = request.decode_tokens * found.tpot_s + found.ttft_s
        in_flight = (in_flight + min(served.in_flight, rate * stay_s)) / 2
    return found


def route_latencies(
    load: float, pipeline: PipelineModel, workload: Workload, policy: Policy, served: ServedRate
) -> dict[tuple[int, ...], MeanLatencies]:
    """Return about what a request takes on each route at a share of the served rate.

    Only how routes compare is meant: what all of them wait for alike is left out. Routes are named
    by their stages.
    """
    shares, request = shares_of(pipeline), mean_request(workload, policy)
    trip = RoundTrip(pipeline, shares, request, max(1.0, load * served.in_flight), policy)
    found = {}
    for route in pipeline.routes:
        tpot_s, ttft_s = trip.along(route.stages, load * served.requests_per_s)
        found[route.stages] = MeanLatencies(ttft_s, tpot_s)
    return found
