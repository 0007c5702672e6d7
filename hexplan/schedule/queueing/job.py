"""Jobs: what queueing knows of a request."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Job:
    """A request from its arrival to its end, however often it makes way meanwhile."""

    number: int
    """Its place in the order of arrival."""
    prompt_tokens: int
    declared_tokens: int
    """The most tokens that it may emit, as its client says."""
    client: str = ""
    """Who asked for it."""
    served_at_s: float = 0.0
    """When it was last served; at first, when it arrived."""
    is_admitted: bool = False
    """Whether it found room before."""
    is_prefilled: bool = False
    """Whether its prompt was run before."""
    emitted: int = 0
    """Tokens emitted so far."""
    is_starved: bool = False
    """Whether it waits because it was moved up, and has not been served since."""
