"""Clients that stream all the time, and know what an undisturbed run would have given them."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from threading import Event, Lock, Thread
from typing import Final, TypeAlias

import httpx

Pieces: TypeAlias = tuple[str, ...]
NUM_ASKS: Final = 16
"""Different requests."""
_SEEDS: Final = (17, 3, 21, 215, 57, 27, 77, 191)
"""Seeds with which texts have their full length, and no token's random number lies within 5e-6 of
another token, so that rounding turns none (`chaos_margins.py` says how far each lies)."""
_PATIENCE_S: Final = 300.0
_TRIES: Final = 60
"""How often a request is sent while the server says when to come again, or is not there."""
_PAUSE_S: Final = 1.0
"""When a client comes again to a server that is gone."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One request: greedy, or drawn with a seed."""

    number: int

    @property
    def is_drawn(self) -> bool:
        """Whether it is drawn; it is greedy otherwise."""
        return self.number % 2 == 1

    @property
    def seed(self) -> int:
        """What its tokens are drawn with, if they are."""
        return _SEEDS[self.number // 2]

    @property
    def prompt(self) -> str:
        """What is continued."""
        return f"Letter {self.number}: it is a truth universally acknowledged"

    @property
    def max_tokens(self) -> int:
        """How long the text may become."""
        return 48 + 8 * (self.number % 8)

    @property
    def body(self) -> dict[str, object]:
        """What is sent."""
        drawn = {"temperature": 1.0, "seed": self.seed} if self.is_drawn else {"temperature": 0}
        words = {"model": "chaos", "prompt": self.prompt, "max_tokens": self.max_tokens}
        return {**words, "stream": True, **drawn}


@dataclass(slots=True)
class Tally:
    """How streams ended."""

    ended: Counter[str] = field(default_factory=Counter)
    """`exact`, `again` (it was cut off, and exact when it was sent again), `error`, `refused`,
    `cut` or `wrong`."""
    came_again: int = 0
    """Requests that were sent once more before they had begun: the server had said when to come
    again, as no route was left, or was not there."""
    examples: list[str] = field(default_factory=list)
    """What the first wrong ones, and errors, were."""

    def add(self, outcome: str, example: str = "") -> None:
        """Count a stream."""
        self.ended[outcome] += 1
        if example and len(self.examples) < 20:
            self.examples.append(f"{outcome}: {example}")


class Clients:
    """Clients in a thread of their own, until they are told to stop."""

    def __init__(self, url: str, num_clients: int, expected: dict[int, Pieces]) -> None:
        self._url, self._num_clients, self._expected = url, num_clients, expected
        self._over = Event()
        self._lock = Lock()
        self._tally = Tally()
        self._thread = Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def start(self) -> None:
        """Begin to stream."""
        self._thread.start()

    def stop(self) -> None:
        """Begin no more streams, and wait for those under way."""
        self._over.set()
        self._thread.join()

    def tally(self) -> Tally:
        """Return how streams have ended since the last call."""
        with self._lock:
            told, self._tally = self._tally, Tally()
        return told

    async def _run(self) -> None:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=self._num_clients)
        timeout = httpx.Timeout(_PATIENCE_S)
        async with httpx.AsyncClient(base_url=self._url, limits=limits, timeout=timeout) as http:
            await asyncio.gather(*(self._stream_on(http, n) for n in range(self._num_clients)))

    async def _stream_on(self, http: httpx.AsyncClient, first: int) -> None:
        number = first
        while not self._over.is_set():
            number = (number + 7) % len(self._expected)
            await self._stream_to_end(http, Ask(number))

    async def _stream_to_end(self, http: httpx.AsyncClient, ask: Ask) -> None:
        """Stream; a client whose stream is cut off sends its request again, as it has a seed."""
        is_again = False
        while True:
            got: list[str] = []
            wanted = self._expected[ask.number]
            try:
                async for piece in self._pieces(http, ask):
                    got.append(piece)
            except StreamFailed as failure:
                is_prefix = tuple(got) == wanted[: len(got)]
                if is_prefix and failure.kind == "cut" and not self._over.is_set():
                    is_again = True
                    await asyncio.sleep(_PAUSE_S)
                    continue
                self._add(failure.kind if is_prefix else "wrong", f"{ask}: {failure}")
                await asyncio.sleep(_PAUSE_S)
                return
            is_exact = tuple(got) == wanted
            right = "again" if is_again else "exact"
            self._add(right if is_exact else "wrong", "" if is_exact else f"{ask}: {got}")
            return

    async def _pieces(self, http: httpx.AsyncClient, ask: Ask) -> AsyncIterator[str]:
        """Yield the text of each token; come again where the server says when, as clients do."""
        for tries_left in reversed(range(_TRIES)):
            try:
                async for piece in pieces(http, ask):
                    yield piece
            except StreamFailed as failure:
                if failure.again_s is None or not tries_left or self._over.is_set():
                    raise
                with self._lock:
                    self._tally.came_again += 1
                await asyncio.sleep(failure.again_s)
            else:
                return

    def _add(self, outcome: str, example: str) -> None:
        with self._lock:
            self._tally.add(outcome, example)


class StreamFailed(Exception):
    """A stream that ended with an error, or never began."""

    def __init__(self, kind: str, message: str, again_s: float | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.again_s = again_s
        """When to come again, if the request has not begun."""


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
    except httpx.ConnectError as error:
        raise StreamFailed("cut", "nobody answers", _PAUSE_S) from error
    except httpx.TransportError as error:
        raise StreamFailed("cut", f"{type(error).__name__}: {error}") from error


async def undisturbed(url: str, num_asks: int) -> dict[int, Pieces]:
    """Return what each request gives while nothing happens."""
    async with httpx.AsyncClient(base_url=url, timeout=_PATIENCE_S) as http:

        async def told(number: int) -> Pieces:
            return tuple([piece async for piece in pieces(http, Ask(number))])

        return dict(enumerate(await asyncio.gather(*map(told, range(num_asks)))))
