"""Generation: the choices of one HTTP request, from the engine's thread to the event loop."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from hexplan.errors import HexplanError
from hexplan_runtime.engine.core import EngineCore
from hexplan_runtime.engine.outcomes import Failed, Ticket
from hexplan_runtime.request import FinishReason, TokenEvent
from hexplan_runtime.serve.jobs import Choice, Job
from hexplan_runtime.serve.metrics import Metrics
from hexplan_runtime.serve.parameters.prompt_logprobs import PromptTold, as_maps
from hexplan_runtime.serve.problems import Json, problem_of
from hexplan_runtime.serve.stop_strings import StopFinder
from hexplan_runtime.text import Detokenizer
from hexplan_runtime.token_text import EntryTokenizer, ShownLogprobs, TokenTexts

Event: TypeAlias = TokenEvent | Failed


@dataclass(frozen=True, slots=True)
class Piece:
    """What one token adds to one choice."""

    choice: int
    text: str
    """Empty while characters or stop strings may be incomplete."""
    tokens: int
    """Tokens of the choice so far."""
    finish_reason: FinishReason | None
    """Why the choice ended, on its last piece."""
    logprobs: tuple[ShownLogprobs, ...] = ()
    """Of the token, if it is told, and before it of an echoed prompt."""
    prompt_maps: list[Json] | None = None
    """What is told of the prompt in vLLM's form, in the first piece."""


class Handoff:
    """Brings events from the engine's thread to the event loop, with one wake-up for many."""

    def __init__(self, loop: asyncio.AbstractEventLoop, progressed: Callable[[], None]) -> None:
        self._loop = loop
        self._progressed = progressed
        self._events: deque[tuple[Generation, int, Event]] = deque()
        self._is_due = False

    def deliver(self, generation: Generation, index: int, event: Event) -> None:
        """Take an event in the engine's thread."""
        self._events.append((generation, index, event))
        if not self._is_due:
            self._is_due = True
            with suppress(RuntimeError):  # the loop has ended, and all clients with it
                self._loop.call_soon_threadsafe(self._empty)

    def _empty(self) -> None:
        # What is appended after this line either is taken below or asks for another wake-up.
        self._is_due = False
        self._progressed()
        while self._events:
            generation, index, event = self._events.popleft()
            generation.take(index, event)


@dataclass(frozen=True, slots=True)
class Serving:
    """What generations share."""

    core: EngineCore
    handoff: Handoff
    tokenizer: EntryTokenizer
    texts: TokenTexts
    metrics: Metrics
    max_unread: int
    """Events that may wait for a client that reads slowly."""


class _Continuation:
    """The text of one choice."""

    def __init__(self, serving: Serving, choice: Choice) -> None:
        self._choice = choice
        self._texts = serving.texts
        self._decoder = Detokenizer(
            serving.tokenizer, choice.prompt.ids, shows_special=choice.shows_special
        )
        self._finder = StopFinder(choice.stops, keeps=choice.keeps_stop)
        self._echo = choice.prompt.echo or ""
        self._num_characters = len(self._echo)
        self._min_tokens = 0 if choice.request is None else choice.request.min_tokens
        self.tokens = 0
        self.is_over = False
        self._is_prompt_told = False

    def add(self, event: TokenEvent) -> Piece:
        """Take a token, and return what it adds."""
        told = self._take_prompt(event)
        if not self._choice.has_output:
            return self._piece("", "length", told)
        self.tokens += 1
        is_stop = event.finish_reason == "stop"
        shows = not is_stop or self._choice.shows_special
        logprobs = self._texts.shown(event, self._num_characters)
        if logprobs is not None:
            told.logprobs += (logprobs,)
        text = self._decoder.add(event.token_id) if shows else ""
        self._num_characters += len(text)
        if event.is_last:
            text += self._decoder.flush()
        if self.tokens > self._min_tokens:
            text = self._finder.add(text)
        reason = event.finish_reason
        if self._finder.has_stopped:
            reason = "stop"
        elif event.is_last:
            text += self._finder.flush()
        return self._piece(text, reason, told)

    def echo_only(self) -> Piece:
        """Return the piece of a choice that asks for no tokens."""
        return self._piece("", "length", _Told())

    def _take_prompt(self, event: TokenEvent) -> _Told:
        """Return what the first token brings of the prompt, and later ones do not."""
        told, asked = _Told(), self._choice.told
        if self._is_prompt_told or asked.most is None:
            return told
        self._is_prompt_told = True
        prompt = PromptTold(self._choice.prompt.ids, event.prompt_logprobs)
        if asked.with_echo is not None:
            told.logprobs = self._texts.shown_prompt(prompt.ids, prompt.told, asked.with_echo)
        if asked.apart is not None:
            told.maps = as_maps(prompt, asked.apart, self._texts)
        return told

    def _piece(self, text: str, reason: FinishReason | None, told: _Told) -> Piece:
        self.is_over = reason is not None
        text, self._echo = self._echo + text, ""
        index = self._choice.index
        return Piece(index, text, self.tokens, reason, told.logprobs, told.maps)


@dataclass(slots=True)
class _Told:
    """What a piece tells of tokens."""

    logprobs: tuple[ShownLogprobs, ...] = ()
    maps: list[Json] | None = None


class Generation:
    """Runs the choices of a job; all of them are cancelled once nobody reads them."""

    def __init__(self, serving: Serving, job: Job) -> None:
        self._serving = serving
        self.job = job
        self._continuations = [_Continuation(serving, c) for c in job.choices]
        self._tickets: dict[int, Ticket] = {}
        self._events: asyncio.Queue[tuple[int, Event, float]] = asyncio.Queue()
        """Each with the choice that it is of, and when it came."""
        self.cut: str | None = None
        """Why choices were cancelled, if they were."""
        self._clock = serving.metrics.clock(job)
        self._num_open = len(job.choices)

    @property
    def completion_tokens(self) -> int:
        """Tokens of all choices so far."""
        return sum(continuation.tokens for continuation in self._continuations)

    def tokens_of(self, choice: int) -> int:
        """Return the tokens of one choice so far."""
        return self._continuations[choice].tokens

    def start(self) -> None:
        """Hand all choices to the engine, or none of them.

        Raises
        ------
        ApiError
            The engine refuses a choice.
        """
        try:
            for choice in self.job.choices:
                if choice.request is not None:
                    deliver = partial(self._serving.handoff.deliver, self, choice.index)
                    ticket = self._serving.core.submit(choice.request, deliver)
                    self._tickets[choice.index] = ticket
                    self._clock.begin(choice.index, ticket)
        except HexplanError as error:
            self.cancel("another choice of its request was refused")
            problem = problem_of(error)
            self._serving.metrics.refused(problem)
            raise problem from error

    def take(self, index: int, event: Event) -> None:
        """Take an event in the event loop."""
        self._events.put_nowait((index, event, time.monotonic()))
        if self._events.qsize() > self._serving.max_unread * len(self._continuations):
            self.cancel("its client reads too slowly")

    def cancel(self, reason: str = "its client is gone") -> None:
        """End every choice that is not over; this is safe at any time."""
        tickets, self._tickets = self._tickets, {}
        for index, ticket in tickets.items():
            if not self._continuations[index].is_over:
                ticket.cancel(reason)
                self.cut = self.cut or reason
                self._clock.abort()

    async def pieces(self) -> AsyncIterator[list[Piece]]:
        """Yield new pieces, as many at once as there are.

        Raises
        ------
        ApiError
            A choice failed.
        """
        echoes = [c.index for c in self.job.choices if c.request is None]
        if echoes:
            self._num_open -= len(echoes)
            yield [self._continuations[index].echo_only() for index in echoes]
        while self._num_open:
            found = [await self._events.get()]
            while not self._events.empty():
                found.append(self._events.get_nowait())
            pieces = [p for p in (self._piece(*one) for one in found) if p is not None]
            if pieces:
                yield pieces

    def _piece(self, index: int, event: Event, now_s: float) -> Piece | None:
        continuation = self._continuations[index]
        if continuation.is_over:  # it has met a stop string
            return None
        if isinstance(event, Failed):
            self.cut = self.cut or "the engine ended it"
            raise problem_of(event.error)
        piece = continuation.add(event)
        self._clock.token(index, now_s)
        if piece.finish_reason is not None:
            self._num_open -= 1
            self._clock.finish(index, now_s, piece.finish_reason)
            if not event.is_last and (ticket := self._tickets.pop(index, None)) is not None:
                ticket.cancel("a stop string came")
        return piece
