"""The prediction: what a plan should deliver, and the runs that its figures come from."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from hexplan.cluster import Scheduling
from hexplan.field_types import Exact
from hexplan.frozen_model import FrozenModel
from hexplan.workload import Balance


class SimulatedRate(FrozenModel):
    """What the simulator served, in the mean over its runs, as `check --simulate` repeats them.

    As many requests came as the KV cache takes, with lengths spread around the workload's means.
    """

    decode_tokens_per_s: Exact
    """Tokens decoded per second."""
    requests_per_s: Exact
    """Requests finished per second."""
    ttft_s: Exact
    """Mean time to the first token."""
    tpot_s: Exact
    """Mean time from one output token to the next."""
    seeds: tuple[int, ...]
    """Seeds of the runs."""
    duration_s: Exact
    """Simulated time of each run, warm-up included."""
    warmup_s: Exact
    """How much of it was left out at the start."""
    requests: Annotated[int, Field(ge=0)]
    """Requests that all runs together finished, those of the warm-up included."""


class RateRun(FrozenModel):
    """A simulation of requests that arrive at random at a rate, as `check --simulate` repeats it.

    Their lengths are spread around the workload's means, and steps keep to the plan's step limits.
    """

    policy: Scheduling
    """The scheduler."""
    requests_per_s: Annotated[Exact, Field(gt=0)]
    """The rate of arrivals."""
    seeds: tuple[int, ...]
    """Seeds of the runs, over which the figures are means."""
    duration_s: Exact
    """Simulated time of each run, warm-up included."""
    warmup_s: Exact
    """How much of it was left out at the start."""
    requests: Annotated[int, Field(ge=0)]
    """Requests that all runs together finished, those of the warm-up included."""
    attainment: Exact | None = None
    """Share of the requests after the warm-up that kept the workload's SLO, if it has one."""


class SustainedRate(FrozenModel):
    """The rate that the plan can sustain, given KV room, round trips and the scheduler."""

    decode_tokens_per_s: Exact
    """Tokens decoded per second."""
    requests_per_s: Exact
    """Requests per second."""
    policy: Scheduling
    """The scheduler that it assumes."""
    basis: str
    """What both rates rest on."""
    simulated: SimulatedRate | None = None
    """The simulated rate, if the objective is sustained."""


class Basis(FrozenModel):
    """What a part of the prediction rests on."""

    origin: str
    """A stage's `speed_origin`, or `links`."""
    share: Exact
    """Share of the cut's value that rests on this origin."""


class Predicted(FrozenModel):
    """What the plan should deliver, given the speeds of its stages."""

    tokens_per_s: Exact
    """Prompt and output tokens per second."""
    requests_per_s: Exact
    """Mean requests per second."""
    least_tokens_per_s: Exact
    """The flow if every stage in use is slower by the largest error among them."""
    most_tokens_per_s: Exact
    """An upper bound on the flow if every stage of the cut is faster by its error."""
    rests_on: tuple[Basis, ...]
    """What the flow rests on, largest share first; the shares sum to 1."""
    cost_usd_per_h: Exact | None = None
    """What the hosts in use cost per hour, if all of them have a price."""
    slo_requests_per_s: Exact | None = None
    """The largest simulated rate that meets the workload's SLO, if that is the objective."""
    ttft_s: Exact | None = None
    """Mean time to the first token, at the rate of the objective (latency, slo or balanced)."""
    tpot_s: Exact | None = None
    """Mean time from one output token to the next, at the same rate."""
    latency_basis: str | None = None
    """What both times rest on."""
    run: RateRun | None = None
    """The simulation that both times and the SLO's rate come from; null if they do not."""
    sustained: SustainedRate | None = None
    """The rate that it can sustain; the rates above are those of the static flow."""
    balance: Balance | None = None
    """Which latencies were allowed, if the objective is balanced."""
