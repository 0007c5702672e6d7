"""Techniques: what a launch may do besides running every request in the order of arrival."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Final, Literal, get_args

from pydantic import Field

from hexplan.field_types import Exact, Positive, Signed
from hexplan.frozen_model import FrozenModel
from hexplan.host import Host, Machine

Phases = Literal["any", "together"]
"""Whether prefill and decode of a request may be on different stages, or are on the same ones."""
QueueName = Literal["fcfs", "mlfq", "fair", "srpt"]
"""Which of the requests that a launch has taken run next.

First come, first served; by how much they have been served, with prompts counted in advance (skip-
join multi-level feedback queue); by how much their clients have been served; or the one with the
least left to do.
"""


Switch = Literal["off", "on", "auto"]
"""Whether a technique is used: never, wherever it can be, or where a simulation shows a gain."""


class Interleave(FrozenModel):
    """How a tensor-parallel stage computes one part of a step while it adds up the other."""

    from_tokens: Annotated[int, Field(ge=2)]
    """Tokens of the smallest step that is cut in two."""
    piece_tokens: Annotated[int, Field(ge=1)]
    """Tokens of the smallest piece in which a sum is begun before the rest is computed."""
    slowdown: Annotated[Exact, Field(ge=1)]
    """How many times as long computing and adding up take, while both go on."""


class KvOffload(FrozenModel):
    """How a stage keeps keys and values of most of its layers in host memory."""

    from_layer: Annotated[int, Field(ge=1)]
    """The first of these layers, which all follow it: a layer before it predicts what they need."""
    fraction: Annotated[Exact, Field(gt=0, le=1)]
    """Share of a request's earlier pages that a decode fetches in such a layer, rounded up."""
    link_bytes_per_s: Positive
    """What the link from host memory carries to each device of the stage."""
    kv_tokens: Positive
    """Tokens of context for which devices and host memory then have room together."""


def queue_named(name: str) -> QueueName:
    """Return the queue of a name; `fcfs` if there is none."""
    return next((known for known in get_args(QueueName) if known == name), "fcfs")


class Chosen(FrozenModel):
    """What a simulation said of a technique that the planner was to use only where it pays."""

    technique: str
    """Its name in `techniques`."""
    value: str
    """What the plan has: `on`, `off` or the name of a queue."""
    tried: str
    """What it was compared with `off`, or with `fcfs`."""
    gain: Annotated[Signed | None, Field(exclude_if=lambda gain: gain is None)] = None
    """Mean gain, as a share of the mean time of a request; below 0 if it is slower. Null if no
    stage can use it for a gain in any step, or if no plan without it carries the rate."""
    noise: Annotated[Exact | None, Field(exclude_if=lambda noise: noise is None)] = None
    """What the gain had to exceed: the error of the mean over pairs of runs, and a margin."""

    @property
    def is_used(self) -> bool:
        """Whether the plan uses what was tried."""
        return self.value == self.tried


QueueChoice = Literal["fcfs", "mlfq", "fair", "srpt", "auto"]
"""A queue, or the one that a simulation finds best."""
SLOWDOWN: Final = Decimal("1.15")
"""Contention of computing and summing up on A100s over PCIe, by notes on Liger (PPoPP 2024): of
groups whose profile says nothing of it."""


KV_FRACTION: Final = Decimal("0.1")
"""The shipped model then tells text nearly as well as with all (docs/guides/kv_offload.md)."""
HOST_LINK_BYTES_PER_S: Final = 25 * 10**9
"""About what copies reach over 16 lanes of PCIe 4; nobody measured it here."""


class Techniques(FrozenModel):
    """Published techniques that a launch is to use."""

    queue: QueueChoice = "fcfs"
    """Which requests run next where not all of them can."""
    shift: Annotated[Switch, Field(exclude_if=lambda switch: switch == "off")] = "off"
    """Whether stages of several devices shift between tp and sp, besides `limits.parallel`."""
    interleave: Annotated[Switch, Field(exclude_if=lambda switch: switch == "off")] = "off"
    """Whether tensor-parallel stages interleave the halves of large steps."""
    slowdown: Annotated[Exact | None, Field(ge=1, exclude_if=lambda times: times is None)] = None
    """How many times as long computing and summing up take while both go on; null for what the
    profile of a group says, or else 1.15."""
    kv_offload: Annotated[Switch, Field(exclude_if=lambda switch: switch == "off")] = "off"
    """Whether stages keep keys and values of most of their layers in host memory."""
    kv_fraction: Annotated[
        Exact, Field(gt=0, le=1, exclude_if=lambda share: share == KV_FRACTION)
    ] = KV_FRACTION
    """Share of them that a decode fetches."""
    host_memory_bytes: Annotated[Positive | None, Field(exclude_if=lambda size: size is None)] = (
        None
    )
    """What a host has for them that states no figure of its own; None if it is not known."""
    host_link_bytes_per_s: Annotated[
        Positive, Field(exclude_if=lambda rate: rate == HOST_LINK_BYTES_PER_S)
    ] = HOST_LINK_BYTES_PER_S
    """What a link from host memory to a device carries, likewise."""

    def memory_of(self, host: Host) -> int | None:
        """Return what a host has for keys and values; the least of joined hosts."""
        sizes = [part.host_memory_bytes or self.host_memory_bytes for part in _parts(host)]
        known = [size for size in sizes if size is not None]
        return min(known) if len(known) == len(sizes) else None

    def link_of(self, host: Host) -> int:
        """Return what a host's link from its memory carries; the least of joined hosts."""
        links = (part.host_link_bytes_per_s for part in _parts(host))
        return min(rate or self.host_link_bytes_per_s for rate in links)

    def is_none(self) -> bool:
        """Say whether nothing is asked for; a cluster's JSON and hash then do not change."""
        return self == Techniques()


def _parts(host: Host) -> tuple[Machine, ...]:
    """Return a host's joined machines, or the host itself."""
    return host.parts or (host,)
