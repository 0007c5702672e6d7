"""The policy: how requests are admitted, routed and batched."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from hexplan.cluster import Scheduling
from hexplan.constants import MAX_BATCH
from hexplan.plan import Plan
from hexplan.schedule.limits import step_limits_of
from hexplan.schedule.queueing.params import QUEUE_PARAMS, QueueParams
from hexplan.step_limits import QueueName, StepLimits
from hexplan_solver.simulate.pipeline_model import NO_LIMIT


@dataclass(frozen=True, slots=True)
class Reservation:
    """The part of the KV cache that a request keeps from its admission on."""

    expected_output_tokens: int | None = None
    """Output tokens to reserve for; None means the request's own number, its `max_tokens`."""
    fill: float = 1.0
    """Share of a stage's KV cache that admission may reserve."""
    is_measured: bool = False
    """Whether the profile's KV room, where it has one, replaces that of the memory formula."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How requests are admitted, routed and batched; the default is hexplan's own policy.

    A step of a stage is one pass of a batch through its layers. A batch takes what has arrived, in
    the order of arrival, as far as its limits go.
    """

    name: str = "chunked"
    chunk_tokens: int | None = 512
    """Tokens of a step: decodes first, the rest for prompts, a quarter at least; None means
    that prompts run whole."""
    decodes_go_first: bool = True
    """Whether decodes leave a stage ahead of the prompts of their batch."""
    max_prompt_tokens: int = NO_LIMIT
    """Prompt tokens in a step, where prompts run whole; a longer prompt runs alone."""
    max_decode_tokens: int = MAX_BATCH
    """Requests decoded in a step."""
    obeys_profile: bool = False
    """Whether the profile's limits of a step hold too."""
    delay_s: float = 0.0
    """Time for which an idle stage lets a batch gather."""
    is_paced: bool = True
    """Whether decodes enter a route in micro-batches (`hexplan.schedule.micro_batches`), or each as
    soon as its token is back."""
    routing: Literal["routes", "edges", "responses"] = "routes"
    """Round robin by the weights of the routes, or at each stage by the flows of its edges, or by
    how quickly these answered lately."""
    min_edge_share: float = 0.0
    """Edges with less than this share of what leaves a stage are unused (`edges` only)."""
    prompt_gives_token: bool = True
    """Whether the prompt's pass gives the first token, or the first decode does."""
    sends_singly: bool = False
    """Whether each request's token travels by itself: its batch then arrives piece by piece, and an
    idle stage starts with the first piece alone."""
    intake_s_per_byte: float = 0.0
    """Time that a stage takes to put together what enters at its first layer."""
    reservation: Reservation = Reservation()
    queue: QueueName = "fcfs"
    """Which requests run next where not all of them can."""
    queue_params: QueueParams = QUEUE_PARAMS

    @property
    def scheduling(self) -> Scheduling:
        """How it runs prompts, as a plan states it."""
        return "whole" if self.chunk_tokens is None else "chunked"

    def within(self, limits: StepLimits) -> Policy:
        """Return the policy with other limits of a step."""
        return replace(self, chunk_tokens=limits.tokens, max_decode_tokens=limits.decodes)


CHUNKED = Policy()
"""The policy of hexplan's runtime: chunked prefill, decodes first."""


def policy_of_plan(plan: Plan) -> Policy:
    """Return hexplan's own policy with the step limits that the runtime keeps to.

    Plans state what they serve first come, first served, whatever queue a launch then has.
    """
    return CHUNKED.within(step_limits_of(plan))


WHOLE = Policy(
    name="whole",
    chunk_tokens=None,
    decodes_go_first=False,
    max_decode_tokens=NO_LIMIT,
    obeys_profile=True,
    routing="edges",
    min_edge_share=0.05,
    is_paced=False,
    prompt_gives_token=False,
    sends_singly=True,
    intake_s_per_byte=1 / 4e9 + 1 / 5e9,
    reservation=Reservation(expected_output_tokens=240, fill=0.85, is_measured=True),
)
"""The published one: whole prompts inside decode steps, first come, first served (Helix, ASPLOS
2025: its simulator's scheduler, offline parameters)."""


def policy_named(scheduling: Scheduling) -> Policy:
    """Return the policy that a cluster asks for by name."""
    return WHOLE if scheduling == "whole" else CHUNKED
