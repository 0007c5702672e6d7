"""Answers: what generations give, in the two forms of OpenAI's API, whole or as a stream."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from hexplan_runtime.request import FinishReason
from hexplan_runtime.serve.event_stream import event
from hexplan_runtime.serve.generation import Generation, Piece
from hexplan_runtime.serve.jobs import Job
from hexplan_runtime.serve.parameters.prompt_logprobs import finite
from hexplan_runtime.serve.problems import Json, JsonObject
from hexplan_runtime.token_text import ShownLogprob, ShownLogprobs


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole choice."""

    index: int
    text: str
    finish_reason: FinishReason
    logprobs: Sequence[ShownLogprobs]
    """Of each token; nothing unless they are asked for."""
    prompt_maps: list[Json] | None
    """What is told of the prompt in vLLM's form, if it is asked for."""


class Form(Protocol):
    """One of the two forms."""

    prefix: str
    whole_object: str
    chunk_object: str

    def opening(self, choice: int) -> JsonObject | None:
        """Return what a stream says of a choice before its first token, if anything."""
        ...

    def chunk(self, piece: Piece) -> JsonObject:
        """Return what a piece adds to a choice."""
        ...

    def whole(self, whole: Whole) -> JsonObject:
        """Return a whole choice."""
        ...

    def beside(self, wholes: Sequence[Whole]) -> JsonObject:
        """Return what stands beside the choices."""
        ...


class CompletionForm:
    """The form of /v1/completions."""

    prefix = "cmpl"
    whole_object = chunk_object = "text_completion"

    def opening(self, choice: int) -> None:
        """Return nothing."""

    def chunk(self, piece: Piece) -> JsonObject:
        """Return what a piece adds to a choice."""
        told = _completion_logprobs(piece.logprobs)
        return _choice(piece.choice, {"text": piece.text}, told, piece.finish_reason)

    def whole(self, whole: Whole) -> JsonObject:
        """Return a whole choice."""
        told = _completion_logprobs(whole.logprobs)
        choice = _choice(whole.index, {"text": whole.text}, told, whole.finish_reason)
        return choice | _apart(whole)

    def beside(self, wholes: Sequence[Whole]) -> JsonObject:
        """Return nothing: what is told of prompts stands in their choices."""
        return {}


class ChatForm:
    """The form of /v1/chat/completions."""

    prefix = "chatcmpl"
    whole_object = "chat.completion"
    chunk_object = "chat.completion.chunk"

    def opening(self, choice: int) -> JsonObject:
        """Return the role."""
        return _choice(choice, {"delta": {"role": "assistant", "content": ""}}, None, None)

    def chunk(self, piece: Piece) -> JsonObject:
        """Return what a piece adds to a choice."""
        told = _chat_logprobs(piece.logprobs)
        return _choice(piece.choice, {"delta": {"content": piece.text}}, told, piece.finish_reason)

    def whole(self, whole: Whole) -> JsonObject:
        """Return a whole choice."""
        message: JsonObject = {"role": "assistant", "content": whole.text, "refusal": None}
        told = _chat_logprobs(whole.logprobs)
        return _choice(whole.index, {"message": message}, told, whole.finish_reason)

    def beside(self, wholes: Sequence[Whole]) -> JsonObject:
        """Return what is told of the prompt, which all choices share."""
        return _apart(wholes[0])


def _choice(
    index: int, content: JsonObject, logprobs: JsonObject | None, reason: FinishReason | None
) -> JsonObject:
    return {"index": index, **content, "logprobs": logprobs, "finish_reason": reason}


def _apart(whole: Whole) -> JsonObject:
    return {} if whole.prompt_maps is None else {"prompt_logprobs": whole.prompt_maps}


def _completion_logprobs(told: Sequence[ShownLogprobs]) -> JsonObject | None:
    if not told:
        return None
    maps: list[Json] = []
    for one in told:
        if one.chosen.logprob is None:
            maps.append(None)
            continue
        # Of tokens with the same text the likelier one is kept, unless the other was chosen.
        found = {top.token.text: _finite(top.logprob) for top in reversed(one.likeliest)}
        maps.append({**found, one.chosen.token.text: _finite(one.chosen.logprob)})
    return {
        "tokens": [one.chosen.token.text for one in told],
        "token_logprobs": [_finite(one.chosen.logprob) for one in told],
        "top_logprobs": maps,
        "text_offset": [one.offset for one in told],
    }


def _chat_logprobs(told: Sequence[ShownLogprobs]) -> JsonObject | None:
    if not told:
        return None
    content: list[Json] = [
        {**_entry(one.chosen), "top_logprobs": [_entry(top) for top in one.likeliest]}
        for one in told
    ]
    return {"content": content, "refusal": None}


def _entry(shown: ShownLogprob) -> JsonObject:
    data = shown.token.data
    as_list: Json = None if data is None else [int(byte) for byte in data]
    return {"token": shown.token.text, "logprob": _finite(shown.logprob), "bytes": as_list}


def _finite(logprob: float | None) -> float | None:
    return None if logprob is None else finite(logprob)


class Answer:
    """The answer to one request.

    Parameters
    ----------
    request_id
        Becomes a part of the answer's id.
    """

    def __init__(self, form: Form, model: str, request_id: str, generation: Generation) -> None:
        self._form = form
        self._generation = generation
        self._job: Job = generation.job
        self._head: JsonObject = {
            "id": f"{form.prefix}-{request_id}",
            "object": form.whole_object,
            "created": int(time.time()),
            "model": model,
        }

    async def whole(self) -> JsonObject:
        """Wait for all choices, and return them.

        Raises
        ------
        ApiError
            A choice failed.
        """
        texts: list[list[str]] = [[] for _ in self._job.choices]
        told: list[list[ShownLogprobs]] = [[] for _ in texts]
        maps: list[list[Json] | None] = [None] * len(texts)
        reasons: list[FinishReason] = ["length"] * len(texts)
        async for pieces in self._generation.pieces():
            for piece in pieces:
                texts[piece.choice].append(piece.text)
                told[piece.choice] += piece.logprobs
                maps[piece.choice] = maps[piece.choice] or piece.prompt_maps
                reasons[piece.choice] = piece.finish_reason or "length"
        wholes = [
            Whole(index, "".join(parts), reasons[index], told[index], maps[index])
            for index, parts in enumerate(texts)
        ]
        choices: list[Json] = [self._form.whole(whole) for whole in wholes]
        usage = usage_of(self._job.prompt_tokens, self._generation.completion_tokens)
        return {**self._head, "choices": choices, "usage": usage, **self._form.beside(wholes)}

    async def events(self) -> AsyncIterator[bytes]:
        """Yield the events of a stream: one a token, even where its text is empty.

        Raises
        ------
        ApiError
            A choice failed.
        """
        self._head["object"] = self._form.chunk_object
        openings = [self._form.opening(choice.index) for choice in self._job.choices]
        if first := b"".join(self._event(o, 0) for o in openings if o is not None):
            yield first
        async for pieces in self._generation.pieces():
            yield b"".join(self._event(self._form.chunk(p), p.tokens) for p in pieces)
        if self._job.includes_usage:
            usage = usage_of(self._job.prompt_tokens, self._generation.completion_tokens)
            yield event({**self._head, "choices": [], "usage": usage})

    def _event(self, choice: JsonObject, tokens: int) -> bytes:
        chunk: JsonObject = {**self._head, "choices": [choice]}
        if self._job.repeats_usage:
            index = choice["index"]
            assert isinstance(index, int)
            chunk["usage"] = usage_of(len(self._job.choices[index].prompt.ids), tokens)
        elif self._job.includes_usage:
            chunk["usage"] = None
        return event(chunk)


def usage_of(prompt_tokens: int, completion_tokens: int) -> JsonObject:
    """Return OpenAI's account of tokens."""
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }
