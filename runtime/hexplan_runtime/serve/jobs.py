"""Jobs: from the body of a request to what the engine is asked for."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace

from hexplan.errors import InputError
from hexplan_runtime.request import MOST_LOGPROBS, SEED_LIMIT, Request, Sampling
from hexplan_runtime.serve.bodies import ChatBody, CompletionBody, Generating, Prompt
from hexplan_runtime.serve.neutral import require_neutral
from hexplan_runtime.serve.parameters.steering import biases_of, penalties_of
from hexplan_runtime.serve.problems import ApiError, NotFound
from hexplan_runtime.serve.settings import ServeSettings

COMPLETION_TOKENS = 16
"""OpenAI's default for completions; that for chats is what there is room for."""
MOST_USER_CHARACTERS = 256
"""Characters by which users are told apart."""
COMPLETION_LOGPROBS = 5
"""OpenAI's limit for completions; that for chats is higher."""


@dataclass(frozen=True, slots=True)
class Room:
    """How many tokens one request may have."""

    context_tokens: int
    """Prompt and output together."""
    output_tokens: int | None
    """The largest output that a client may ask for, if it is limited."""
    vocab: int
    """Tokens that the model knows."""


@dataclass(frozen=True, slots=True)
class TextRules:
    """What new text keeps to."""

    stop_ids: tuple[int, ...]
    """Tokens that end it, unless the client ignores them."""
    grammar: str = ""
    """What it must match; nothing if it is empty."""


@dataclass(frozen=True, slots=True)
class PromptIds:
    """A prompt as token ids."""

    ids: tuple[int, ...]
    echo: str | None = None
    """The prompt as text, if the answer begins with it."""


@dataclass(frozen=True, slots=True)
class ToldOfPrompt:
    """How many of the likeliest tokens are told with each token of a prompt; None tells nothing."""

    with_echo: int | None
    """Beside those of new tokens, in OpenAI's form."""
    apart: int | None
    """In vLLM's form."""

    @property
    def most(self) -> int | None:
        """The larger one."""
        return max((n for n in (self.with_echo, self.apart) if n is not None), default=None)


@dataclass(frozen=True, slots=True)
class Choice:
    """One continuation that is asked for."""

    index: int
    prompt: PromptIds
    request: Request | None
    """None if only the prompt is wanted back."""
    told: ToldOfPrompt
    has_output: bool
    """Whether new tokens are wanted; if not, the one of the request is dropped."""
    stops: tuple[str, ...]
    keeps_stop: bool
    shows_special: bool


@dataclass(frozen=True, slots=True)
class Job:
    """All that one HTTP request asks for."""

    choices: tuple[Choice, ...]
    num_choices_each: int
    """Choices of each prompt."""
    streams: bool
    includes_usage: bool
    repeats_usage: bool
    """Whether each chunk of a stream carries the usage so far."""
    user: str = ""
    """For whom, as the client says."""

    def sent_by(self, client: str) -> Job:
        """Return the job with who asks for it: the key that it came by, or else its user."""
        name = client or self.user
        choices = [
            one if one.request is None else replace(one, request=replace(one.request, client=name))
            for one in self.choices
        ]
        return replace(self, choices=tuple(choices))

    @property
    def prompt_tokens(self) -> int:
        """Tokens of all prompts, each counted once."""
        return sum(len(c.prompt.ids) for c in self.choices[:: self.num_choices_each])


def require_model(name: str | None, settings: ServeSettings) -> None:
    """Refuse a request for another model.

    Raises
    ------
    NotFound
        It names a model that is not served here.
    """
    if name is not None and name != settings.model_name:
        message = f"the model {name!r} does not exist, this server has {settings.model_name!r}"
        raise NotFound(message, param="model", code="model_not_found")


def prompts_of(prompt: Prompt) -> list[str] | list[list[int]]:
    """Return all prompts of a body that may hold one or many."""
    if isinstance(prompt, str):
        return [prompt]
    if not prompt:
        raise ApiError("prompt: empty, must have at least one", param="prompt")
    first = prompt[0]
    return [prompt] if isinstance(first, int) else prompt  # type: ignore[return-value]


def make_job(
    body: Generating,
    prompts: Sequence[PromptIds],
    room: Room,
    settings: ServeSettings,
    rules: TextRules,
) -> Job:
    """Return the job of a body whose prompts are token ids already.

    Raises
    ------
    ApiError
        A parameter is not supported, out of its range, or asks for more than the limits allow.
    """
    require_neutral(body)
    limits = settings.limits
    num_each = _at_least("n", body.n, 1, 1)
    if num_each * len(prompts) > limits.choices:
        message = f"{len(prompts)} prompts x n = {num_each}: at most {limits.choices} together"
        raise ApiError(message, param="n")
    stops = _stops(body, limits.stops)
    first_seed = secrets.randbits(62) if body.seed is None else body.seed
    ends = () if body.ignore_eos else rules.stop_ids
    ends += tuple(token for token in body.stop_token_ids or () if token not in ends)
    told = _told_of_prompt(body)
    first = _sampling(body, room, rules, told)
    choices = []
    for index in range(len(prompts) * num_each):
        prompt = prompts[index // num_each]
        sampling = replace(first, seed=(first_seed + index) % SEED_LIMIT)
        tokens = _max_tokens(body, prompt, room)
        runs = tokens > 0 or told.most is not None
        choices.append(
            Choice(
                index=index,
                prompt=prompt,
                request=_request(body, prompt, tokens or 1, sampling, ends) if runs else None,
                told=told,
                has_output=tokens > 0,
                stops=stops,
                keeps_stop=bool(body.include_stop_str_in_output),
                shows_special=body.skip_special_tokens is False,
            )
        )
    options = body.stream_options
    return Job(
        choices=tuple(choices),
        num_choices_each=num_each,
        streams=bool(body.stream),
        includes_usage=options is not None and options.include_usage,
        repeats_usage=options is not None and options.continuous_usage_stats,
        user=body.user[:MOST_USER_CHARACTERS] if isinstance(body.user, str) else "",
    )


def _sampling(body: Generating, room: Room, rules: TextRules, told: ToldOfPrompt) -> Sampling:
    temperature = 1.0 if body.temperature is None else float(body.temperature)
    top_p = 1.0 if body.top_p is None else float(body.top_p)
    top_k = max(0, body.top_k) if body.top_k is not None and body.top_k >= -1 else body.top_k
    try:
        return Sampling(
            temperature,
            top_k or 0,
            top_p,
            min_p=float(body.min_p or 0),
            top_logprobs=_top_logprobs(body),
            penalties=penalties_of(body),
            biases=biases_of(body, room.vocab),
            grammar=rules.grammar,
            prompt_logprobs=told.most,
        )
    except InputError as error:
        raise _invalid(error) from error


def _told_of_prompt(body: Generating) -> ToldOfPrompt:
    """Return what is told of prompts."""
    echoes = isinstance(body, CompletionBody) and bool(body.echo)
    apart = body.prompt_logprobs
    if apart is not None:
        _within("prompt_logprobs", apart, MOST_LOGPROBS)
        if body.stream:
            message = "prompt_logprobs: not in a stream, leave one out"
            raise ApiError(message, param="prompt_logprobs", code="invalid_value")
    return ToldOfPrompt(_top_logprobs(body) if echoes else None, apart)


def _top_logprobs(body: Generating) -> int | None:
    """Return how many of the likeliest tokens to tell with each token; None tells nothing."""
    if isinstance(body, ChatBody):
        if body.top_logprobs and not body.logprobs:
            raise ApiError("top_logprobs: needs logprobs: true", param="top_logprobs")
        asked = body.top_logprobs or 0
        return _within("top_logprobs", asked, MOST_LOGPROBS) if body.logprobs else None
    assert isinstance(body, CompletionBody)
    if body.logprobs is None:
        return None
    return _within("logprobs", body.logprobs, COMPLETION_LOGPROBS)


def _within(name: str, value: int, most: int) -> int:
    if not 0 <= value <= most:
        message = f"{name}: {value}, must be >= 0 and <= {most}"
        raise ApiError(message, param=name, code="invalid_value")
    return value


def _request(
    body: Generating, prompt: PromptIds, tokens: int, sampling: Sampling, ends: tuple[int, ...]
) -> Request:
    try:
        return Request(prompt.ids, tokens, sampling, ends, min_tokens=body.min_tokens or 0)
    except InputError as error:
        raise _invalid(error) from error


def _invalid(error: InputError) -> ApiError:
    """Return the problem of a field, with whose name the message begins."""
    return ApiError(error.message, param=error.message.partition(":")[0], code="invalid_value")


def _max_tokens(body: Generating, prompt: PromptIds, room: Room) -> int:
    """Return how many tokens to add to a prompt; 0 only if something is told of the prompt."""
    name, asked = "max_tokens", body.max_tokens
    is_chat = not isinstance(body, CompletionBody)
    if (chat := getattr(body, "max_completion_tokens", None)) is not None:
        name, asked = "max_completion_tokens", chat
    if not prompt.ids:
        raise ApiError("the prompt is empty, must have at least one token", param="prompt")
    left = room.context_tokens - len(prompt.ids)
    if asked is None and is_chat:
        return max(1, left if room.output_tokens is None else min(left, room.output_tokens))
    if asked is None:
        return max(1, min(COMPLETION_TOKENS, left))
    least = 1 if prompt.echo is None and (is_chat or body.prompt_logprobs is None) else 0
    tokens = _at_least(name, asked, least, least)
    if room.output_tokens is not None and tokens > room.output_tokens:
        message = f"{name}: {tokens}, this server allows {room.output_tokens}"
        raise ApiError(message, param=name, code="invalid_value")
    return tokens


def _at_least(name: str, value: int | None, least: int, default: int) -> int:
    if value is None:
        return default
    if value < least:
        message = f"{name}: {value}, must be >= {least}"
        raise ApiError(message, param=name, code="invalid_value")
    return value


def _stops(body: Generating, most: int) -> tuple[str, ...]:
    stops = [body.stop] if isinstance(body.stop, str) else body.stop or []
    if len(stops) > most:
        message = f"stop: {len(stops)} strings, at most {most}"
        raise ApiError(message, param="stop", code="invalid_value")
    # OpenAI's clients send "" for no stop string.
    return tuple(stop for stop in stops if stop)
