"""What a caller asks of a pipeline, and what comes back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from hexplan.errors import InputError

FinishReason = Literal["stop", "length"]

SEED_LIMIT = 2**63
"""Seeds are below this, as they travel in a signed word of 64 bits."""

MOST_LOGPROBS = 20
"""The most of the likeliest tokens that are told with a token."""
_LOGPROBS_NEEDED = f">= 0 and <= {MOST_LOGPROBS}"


def _need(holds: bool, field: str, found: object, needed: str) -> None:
    if not holds:
        message = f"{field}: {found}, must be {needed}"
        raise InputError(message)


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is picked.

    Parameters
    ----------
    temperature
        0 takes the likeliest token; larger values flatten the distribution.
    top_k
        Only the k likeliest tokens may be drawn; 0 means all.
    top_p
        Only the likeliest tokens that together reach this probability may be drawn.
    seed
        Two requests with equal prompts, settings and seeds draw equal tokens.
    min_p
        Only tokens at least this many times as probable as the likeliest may be drawn. It counts
        before `top_k`, as that counts before `top_p`.
    barred_ids
        Tokens that are not drawn for positions before `barred_until`.
    top_logprobs
        How many of the likeliest tokens to tell with each token, and their logarithms of
        probability; 0 tells that of the token alone, None nothing.
    """

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0
    min_p: float = 0.0
    barred_ids: tuple[int, ...] = ()
    barred_until: int = 0
    top_logprobs: int | None = None

    def __post_init__(self) -> None:
        _need(0.0 <= self.temperature < float("inf"), "temperature", self.temperature, ">= 0")
        _need(self.top_k >= 0, "top_k", self.top_k, ">= 0")
        _need(0.0 < self.top_p <= 1.0, "top_p", self.top_p, "> 0 and <= 1")
        _need(0.0 <= self.min_p <= 1.0, "min_p", self.min_p, ">= 0 and <= 1")
        told = self.top_logprobs
        _need(told is None or 0 <= told <= MOST_LOGPROBS, "top_logprobs", told, _LOGPROBS_NEEDED)
        _need(0 <= self.seed < SEED_LIMIT, "seed", self.seed, ">= 0 and < 2^63")


GREEDY = Sampling()


@dataclass(frozen=True, slots=True)
class EndRule:
    """When a request ends, as far as tokens alone tell.

    A last stage and the router both go by it, so that neither has to tell the other.
    """

    most_tokens: int = 2**62
    """Tokens of its prompt and of what follows, at most."""
    stop_ids: tuple[int, ...] = ()
    """Tokens of which each ends it."""
    keeps: bool = False
    """Whether its stages then keep the whole blocks of its context for others."""

    def reason(self, token_id: int, num_tokens: int) -> FinishReason | None:
        """Return why a token is the last one, if it is.

        Parameters
        ----------
        num_tokens
            Tokens of the request up to this one and with it, those of its prompt among them.
        """
        if token_id in self.stop_ids:
            return "stop"
        return "length" if num_tokens >= self.most_tokens else None


ENDLESS = EndRule()


@dataclass(frozen=True, slots=True)
class Request:
    """A prompt and how to continue it."""

    prompt_ids: tuple[int, ...]
    max_tokens: int
    sampling: Sampling = GREEDY
    stop_ids: tuple[int, ...] = ()
    route: int | None = None
    """The route to take, for a probe of that route; the router chooses one if None."""
    min_tokens: int = 0
    """No stop id is drawn before there are so many new tokens."""

    def __post_init__(self) -> None:
        _need(len(self.prompt_ids) > 0, "prompt", "empty", "at least one token")
        _need(self.max_tokens > 0, "max_tokens", self.max_tokens, "> 0")
        needed = f">= 0 and <= the most tokens, {self.max_tokens}"
        _need(0 <= self.min_tokens <= self.max_tokens, "min_tokens", self.min_tokens, needed)

    @property
    def context_tokens(self) -> int:
        """Tokens of KV cache that the request may need."""
        return len(self.prompt_ids) + self.max_tokens

    @property
    def end_rule(self) -> EndRule:
        """When it ends; the same however often it starts over."""
        return EndRule(self.context_tokens, self.stop_ids)

    @property
    def row_sampling(self) -> Sampling:
        """How the last stage picks its tokens; the same however often the request starts over."""
        if not (self.min_tokens and self.stop_ids):
            return self.sampling
        until = len(self.prompt_ids) + self.min_tokens
        return replace(self.sampling, barred_ids=self.stop_ids, barred_until=until)


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token, and the logarithm of its probability."""

    token_id: int
    logprob: float


@dataclass(frozen=True, slots=True)
class Logprobs:
    """How probable the model finds a token that was picked, whatever the sampling."""

    chosen: float
    likeliest: tuple[TokenLogprob, ...]
    """As many as were asked for, the likeliest first."""


@dataclass(frozen=True, slots=True)
class TokenEvent:
    """One new token of one request."""

    request_index: int
    """Index into the requests that were passed to `generate`; else the number of the ticket."""
    token_id: int
    is_last: bool
    finish_reason: FinishReason | None
    """Why the request ended, on its last token."""
    logprobs: Logprobs | None = None
    """Told if the request asks for them."""
