"""Answers: what generations give, in the two forms of OpenAI's API, whole or as a stream."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Protocol

from hexplan_runtime.request import FinishReason
from hexplan_runtime.serve.event_stream import event
from hexplan_runtime.serve.generation import Generation, Piece
from hexplan_runtime.serve.jobs import Job
from hexplan_runtime.serve.problems import Json, JsonObject


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

    def whole(self, choice: int, text: str, reason: FinishReason) -> JsonObject:
        """Return a whole choice."""
        ...


class CompletionForm:
    """The form of /v1/completions."""

    prefix = "cmpl"
    whole_object = chunk_object = "text_completion"

    def opening(self, choice: int) -> None:
        """Return nothing."""

    def chunk(self, piece: Piece) -> JsonObject:
        """Return what a piece adds to a choice."""
        return _choice(piece.choice, {"text": piece.text}, piece.finish_reason)

    def whole(self, choice: int, text: str, reason: FinishReason) -> JsonObject:
        """Return a whole choice."""
        return _choice(choice, {"text": text}, reason)


class ChatForm:
    """The form of /v1/chat/completions."""

    prefix = "chatcmpl"
    whole_object = "chat.completion"
    chunk_object = "chat.completion.chunk"

    def opening(self, choice: int) -> JsonObject:
        """Return the role."""
        return _choice(choice, {"delta": {"role": "assistant", "content": ""}}, None)

    def chunk(self, piece: Piece) -> JsonObject:
        """Return what a piece adds to a choice."""
        return _choice(piece.choice, {"delta": {"content": piece.text}}, piece.finish_reason)

    def whole(self, choice: int, text: str, reason: FinishReason) -> JsonObject:
        """Return a whole choice."""
        message: JsonObject = {"role": "assistant", "content": text, "refusal": None}
        return _choice(choice, {"message": message}, reason)


def _choice(index: int, content: JsonObject, reason: FinishReason | None) -> JsonObject:
    return {"index": index, **content, "logprobs": None, "finish_reason": reason}


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
        reasons: list[FinishReason] = ["length"] * len(texts)
        async for pieces in self._generation.pieces():
            for piece in pieces:
                texts[piece.choice].append(piece.text)
                reasons[piece.choice] = piece.finish_reason or "length"
        choices: list[Json] = [
            self._form.whole(index, "".join(parts), reasons[index])
            for index, parts in enumerate(texts)
        ]
        usage = usage_of(self._job.prompt_tokens, self._generation.completion_tokens)
        return {**self._head, "choices": choices, "usage": usage}

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
