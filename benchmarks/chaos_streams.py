"""Clients that stream all the time, and know what an undisturbed run would have given them."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import Final, TypeAlias

import httpx

Pieces: TypeAlias = tuple[str, ...]
_PATIENCE_S: Final = 300.0
_TRIES: Final = 30
"""How often a request is sent while the server says when to come again."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One request: greedy, or drawn with a seed."""

    number: int

    @property
    def body(self) -> dict[str, object]:
        """What is sent."""
        drawn = {"temperature": 1.0, "seed": self.number} if self.number % 2 else {"temperature": 0}
        prompt = f"Letter {self.number}: it is a truth universally acknowledged"
        tokens = 48 + 8 * (self.number % 8)
        return {"model": "chaos", "prompt": prompt, "max_tokens": tokens, "stream": True, **drawn}


@dataclass(slots=True)
class Tally:
    """How streams ended."""

    ended: Counter[str] = field(default_factory=Counter)
    """`exact`, `error`, `refused`, `cut` or `wrong`."""
    came_again: int = 0
    """Requests that were sent once more, as the server had asked, because no route was left."""
    examples: list[str] = field(default_factory=list)
    """What the first wrong ones, and errors, were."""

    def add(self, outcome: str, example: str = "") -> None:
        """Count a stream."""
        self.ended[outcome] += 1
        if example and len(self.examples) < 20:
            self.examples.append(f"{outcome}: {example}")


@dataclass(slots=True)
class Clients:
    """Clients in a thread of their own, until they are told to stop."""

    url: str
    num_clients: int
    expected: dict[int, Pieces]
    tally: Tally
    over: Event = field(default_factory=Event)
    thread: Thread | None = None

    def start(self) -> None:
        """Begin to stream."""
        self.thread = Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self.thread.start()

    def stop(self) -> None:
        """Begin no more streams, and wait for those under way."""
        self.over.set()
        assert self.thread is not None
        self.thread.join()

    async def _run(self) -> None:
        limits = httpx.Limits(max_connections=None)
        timeout = httpx.Timeout(_PATIENCE_S)
        async with httpx.AsyncClient(base_url=self.url, limits=limits, timeout=timeout) as http:
            await asyncio.gather(*(self._stream_on(http, n) for n in range(self.num_clients)))

    async def _stream_on(self, http: httpx.AsyncClient, first: int) -> None:
        number = first
        while not self.over.is_set():
            number = (number + 7) % len(self.expected)
            await self._stream_once(http, Ask(number))

    async def _stream_once(self, http: httpx.AsyncClient, ask: Ask) -> None:
        got: list[str] = []
        try:
            async for piece in self._pieces(http, ask):
                got.append(piece)
        except StreamFailed as failure:
            wanted = self.expected[ask.number]
            is_prefix = tuple(got) == wanted[: len(got)]
            self.tally.add(failure.kind if is_prefix else "wrong", str(failure))
            await asyncio.sleep(1.0)
            return
        is_exact = tuple(got) == self.expected[ask.number]
        self.tally.add("exact" if is_exact else "wrong", "" if is_exact else f"{ask}: {got}")

    async def _pieces(self, http: httpx.AsyncClient, ask: Ask) -> AsyncIterator[str]:
        """Yield the text of each token; come again where the server says when, as clients do."""
        for tries_left in reversed(range(_TRIES)):
            try:
                async for piece in pieces(http, ask):
                    yield piece
            except StreamFailed as failure:
                if failure.again_s is None or not tries_left:
                    raise
                self.tally.came_again += 1
                await asyncio.sleep(failure.again_s)
            else:
                return


class StreamFailed(Exception):
    """A stream that ended with an error, or never began."""

    def __init__(self, kind: str, message: str, again_s: float | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.again_s = again_s
        """When to come again, if the server says so."""


async def pieces(http: httpx.AsyncClient, ask: Ask) -> AsyncIterator[str]:
    """Yield the text of each token.

    Raises
    ------
    StreamFailed
        The server says why there are no more tokens, or is gone.
    """
    try:
        async with http.stream("POST", "/v1/completions", json=ask.body) as answer:
            if answer.status_code != 200:
                await answer.aread()
                again = answer.headers.get("Retry-After")
                message = f"{answer.status_code} {answer.text[:200]}"
                raise StreamFailed("refused", message, None if again is None else float(again))
            is_done = False
            async for line in answer.aiter_lines():
                if line == "data: [DONE]":
                    is_done = True
                elif line.startswith("data: "):
                    data = json.loads(line.removeprefix("data: "))
                    if "error" in data:
                        raise StreamFailed("error", data["error"]["message"])
                    yield data["choices"][0]["text"]
            if not is_done:
                raise StreamFailed("cut", "the stream ended without a word")
    except httpx.TransportError as error:
        raise StreamFailed("cut", f"{type(error).__name__}: {error}") from error


async def undisturbed(url: str, num_asks: int) -> dict[int, Pieces]:
    """Return what each request gives while nothing happens."""
    async with httpx.AsyncClient(base_url=url, timeout=_PATIENCE_S) as http:
        return {n: tuple([p async for p in pieces(http, Ask(n))]) for n in range(num_asks)}
