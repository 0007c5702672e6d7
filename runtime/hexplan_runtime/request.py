"""What a caller asks of a pipeline, and what comes back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

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


MOST_PENALTY: Final = 2.0
"""The largest presence and frequency penalties, up or down; OpenAI's limits."""
MOST_BIAS: Final = 100.0
"""The largest bias of a token, up or down; OpenAI's limits."""


@dataclass(frozen=True, slots=True)
class Penalties:
    """What makes tokens less likely that were there before.

    Parameters
    ----------
    repetition
        Positive logits of tokens in the prompt or the new text are divided by it, others
        multiplied: 1 changes nothing, and less than 1 makes repetition likelier.
    presence
        Subtracted from the logits of tokens in the new text.
    frequency
        Subtracted from them as often as they are there.
    """

    repetition: float = 1.0
    presence: float = 0.0
    frequency: float = 0.0

    def __post_init__(self) -> None:
        _need(0.0 < self.repetition < float("inf"), "repetition_penalty", self.repetition, "> 0")
        needed = f">= -{MOST_PENALTY:g} and <= {MOST_PENALTY:g}"
        for name, value in (("presence", self.presence), ("frequency", self.frequency)):
            _need(-MOST_PENALTY <= value <= MOST_PENALTY, f"{name}_penalty", value, needed)


NO_PENALTIES: Final = Penalties()


@dataclass(frozen=True, slots=True)
class TokenBias:
    """What is added to the logit of a token."""

    token_id: int
    bias: float

    def __post_init__(self) -> None:
        needed = f">= -{MOST_BIAS:g} and <= {MOST_BIAS:g}"
        where = f"logit_bias: token {self.token_id}"
        _need(-MOST_BIAS <= self.bias <= MOST_BIAS, where, self.bias, needed)


@dataclass(frozen=True, slots=True)
class History:
    """The tokens of a request when it enters a route; those that follow are drawn there."""

    ids: tuple[int, ...]
    """Its prompt, and what was drawn before it had to make way."""
    num_prompt: int
    """Tokens of the prompt."""


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
    penalties
        What makes tokens less likely that were there before.
    biases
        What is added to the logits of tokens, before penalties.
    grammar
        What the new text must match, as llguidance has it; nothing if it is empty.
    prompt_logprobs
        The same as `top_logprobs`, of each token of the prompt but the first.
    history
        The tokens that penalties, a grammar or the prompt's logprobs need to know; `Request` fills
        it in.
    """

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0
    min_p: float = 0.0
    barred_ids: tuple[int, ...] = ()
    barred_until: int = 0
    top_logprobs: int | None = None
    penalties: Penalties = NO_PENALTIES
    biases: tuple[TokenBias, ...] = ()
    grammar: str = ""
    prompt_logprobs: int | None = None
    history: History | None = None

    def __post_init__(self) -> None:
        _need(0.0 <= self.temperature < float("inf"), "temperature", self.temperature, ">= 0")
        _need(self.top_k >= 0, "top_k", self.top_k, ">= 0")
        _need(0.0 < self.top_p <= 1.0, "top_p", self.top_p, "> 0 and <= 1")
        _need(0.0 <= self.min_p <= 1.0, "min_p", self.min_p, ">= 0 and <= 1")
        tells = ("top_logprobs", self.top_logprobs), ("prompt_logprobs", self.prompt_logprobs)
        for name, told in tells:
            _need(told is None or 0 <= told <= MOST_LOGPROBS, name, told, _LOGPROBS_NEEDED)
        _need(0 <= self.seed < SEED_LIMIT, "seed", self.seed, ">= 0 and < 2^63")

    @property
    def is_steered(self) -> bool:
        """Whether logits are changed before a token is picked."""
        return self.penalties != NO_PENALTIES or bool(self.biases or self.grammar)

    @property
    def needs_history(self) -> bool:
        """Whether earlier tokens count."""
        steers = self.penalties != NO_PENALTIES or bool(self.grammar)
        return steers or self.prompt_logprobs is not None


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
    client: str = ""
    """Who asks, where requests of several clients are to be served alike."""

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

    def row_sampling(self, tokens: Sequence[int] | None = None) -> Sampling:
        """Return how the last stage picks tokens, the same ones however often it starts over.

        Parameters
        ----------
        tokens
            The prompt, and what was drawn before the request had to make way; the prompt if None.
        """
        found = self.sampling
        if self.min_tokens and self.stop_ids:
            until = len(self.prompt_ids) + self.min_tokens
            found = replace(found, barred_ids=self.stop_ids, barred_until=until)
        if not found.needs_history:
            return found
        ids = self.prompt_ids if tokens is None else tuple(tokens)
        if len(ids) > len(self.prompt_ids):  # what is told of the prompt was told before
            found = replace(found, prompt_logprobs=None)
        return replace(found, history=History(ids, len(self.prompt_ids)))


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
    rank: int = 0
    """How many tokens are likelier, and one; told of tokens of a prompt only."""


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
    prompt_logprobs: tuple[Logprobs, ...] = ()
    """Those of the prompt's tokens but the first, told with the first new token if asked for."""
