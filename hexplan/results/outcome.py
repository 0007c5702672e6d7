"""The outcome: what a simulation measured, as a noun that stands in a JSON file."""

from __future__ import annotations

from typing import Literal

from hexplan.frozen_model import FrozenModel
from hexplan.step_limits import QueueName

Phase = Literal["both", "prefill", "decode"]
"""What of a request a stage serves."""


class Spread(FrozenModel):
    """Mean and percentiles, in seconds."""

    mean_s: float
    """Mean."""
    p50_s: float
    """Half are not longer."""
    p90_s: float
    """Nine in ten are not longer."""
    p99_s: float
    """99 in a hundred are not longer."""
    percentiles_s: tuple[float, ...]
    """The 1st to the 99th percentile."""


class StageUse(FrozenModel):
    """How one stage fared in the measured time."""

    stage: str
    """Stage id."""
    phase: Phase
    """Whether it serves prompts, decodes or both."""
    busy: float
    """Share of the time in which it computed."""
    mean_kv: float
    """Mean share of its KV cache that was reserved."""
    max_kv: float
    """The largest such share."""
    mean_queued_tokens: float
    """Mean number of tokens that waited at it."""


class Attainment(FrozenModel):
    """How well a promise was kept."""

    ttft_s: float | None
    """Promised time to the first token, if any."""
    tpot_s: float | None
    """Promised mean time between two tokens, if any."""
    attainment: float
    """Share of the requests that came after the warm-up and kept both, among those of which it is
    known."""
    goodput_requests_per_s: float
    """Finished requests per second that kept both."""


class TimePoint(FrozenModel):
    """A moment of the run."""

    at_s: float
    """Simulated time."""
    output_tokens_per_s: float
    """Tokens emitted since the point before, per second."""
    waiting: int
    """Requests that were not admitted yet."""
    running: int
    """Requests that were admitted and not finished."""
    busy: tuple[float, ...]
    """Per stage: share of the time since the point before in which it computed."""
    kv: tuple[float, ...]
    """Per stage: share of the KV cache that is reserved."""
    queued_tokens: tuple[int, ...]
    """Per stage: tokens that wait at it."""


class Outcome(FrozenModel):
    """What a simulation measured, between the end of the warm-up and the end of the run."""

    policy: str
    """Name of the policy."""
    seed: int
    """Seed of arrivals and lengths."""
    duration_s: float
    """Simulated time, warm-up included."""
    warmup_s: float
    """What was left out at the start."""
    is_warmup_detected: bool
    """Whether the warm-up was found from the run itself."""
    arrived: int
    """Requests that came, from the start on."""
    finished: int
    """Those of them that were finished."""
    turned_away: int
    """Those for which there was no room, or never could be."""
    unfinished: int
    """Those that were waiting or running at the end."""
    restarts: int
    """Times that a request lost its KV cache and was prefilled again."""
    queue: QueueName = "fcfs"
    """Which requests ran next where not all of them could."""
    swaps: int = 0
    """Times that a request made way and kept its KV in host memory."""
    requests_per_s: float
    """Requests finished per second."""
    output_tokens_per_s: float
    """Tokens emitted per second."""
    decode_tokens_per_s: float
    """Those of them that decodes gave."""
    ttft: Spread | None
    """From arrival to the first token."""
    tpot: Spread | None
    """Mean time between the tokens of a request."""
    itl: Spread | None
    """Time between two tokens of a request, each by itself; exact to 1 %."""
    e2e: Spread | None
    """From arrival to the last token."""
    mean_slowdown: float | None = None
    """How many times as long a request took, in the mean, as it would have taken alone."""
    max_slowdown: float | None = None
    """The same of the request that fared worst."""
    slo: Attainment | None
    """How well the promise was kept, where one was given."""
    stages: tuple[StageUse, ...]
    """Each stage."""
    timeline: tuple[TimePoint, ...]
    """The run from its start on."""
    warnings: tuple[str, ...]
    """What to bear in mind."""
