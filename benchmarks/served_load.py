"""Requests of a trace over HTTP, sent when they are due whatever the server does, and their times.

One connection a request, in one thread: it costs the server's processors little.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

Arrival = tuple[float, int, int]
"""Time in seconds, prompt tokens, output tokens."""


@dataclass(slots=True)
class Stay:
    """When a request was sent, and when each of its tokens came, in seconds of one clock."""

    due_s: float
    tokens_s: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Figures:
    """What a load saw, as `hexplan simulate` defines it."""

    ttft_s: float
    """Mean time to the first token."""
    tpot_s: float
    """Mean time between two tokens."""
    tokens_per_s: float
    """Output tokens from the first arrival to the last token."""

    @classmethod
    def of(cls, stays: Sequence[Stay]) -> Figures:
        """Return the means over requests, each of which has all its tokens."""
        ttft = [stay.tokens_s[0] - stay.due_s for stay in stays]
        several = [stay.tokens_s for stay in stays if len(stay.tokens_s) > 1]
        tpot = [(times[-1] - times[0]) / (len(times) - 1) for times in several]
        begin_s = min(stay.due_s for stay in stays)
        span_s = max(stay.tokens_s[-1] for stay in stays) - begin_s
        tokens = sum(len(stay.tokens_s) for stay in stays)
        return cls(sum(ttft) / len(ttft), sum(tpot) / len(tpot), tokens / span_s)


def send(url: str, arrivals: Sequence[Arrival], vocab: int) -> list[Stay]:
    """Send the requests of a trace, and return their times.

    Raises
    ------
    RuntimeError
        A request did not get as many tokens as it asked for.
    """
    return asyncio.run(_send_all(url, arrivals, vocab))


async def _send_all(url: str, arrivals: Sequence[Arrival], vocab: int) -> list[Stay]:
    rng = random.Random(0)  # noqa: S311
    bodies = [_body([rng.randrange(vocab) for _ in range(p)], o) for _, p, o in arrivals]
    begin_s = time.perf_counter() + 0.1
    stays = [Stay(begin_s + at_s) for at_s, _, _ in arrivals]
    async with asyncio.TaskGroup() as group:
        for body, stay in zip(bodies, stays, strict=True):
            group.create_task(_stay(url, body, stay))
    for (_, _, output), stay in zip(arrivals, stays, strict=True):
        if len(stay.tokens_s) != output:
            message = f"found {len(stay.tokens_s)} tokens, needed {output}"
            raise RuntimeError(message)
    return stays


def _body(prompt_ids: Sequence[int], output_tokens: int) -> bytes:
    asked = {
        "prompt": list(prompt_ids),
        "max_tokens": output_tokens,
        "ignore_eos": True,
        "temperature": 0,
        "stream": True,
    }
    return json.dumps(asked).encode()


async def _stay(url: str, body: bytes, stay: Stay) -> None:
    """Send one request when it is due, and note when each chunk with a token comes."""
    await asyncio.sleep(max(0.0, stay.due_s - time.perf_counter()))
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    head = (
        f"POST /v1/completions HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    status = await reader.readline()
    if b" 200 " not in status:
        message = f"found {status!r}, needed an answer: {await reader.read()!r}"
        raise RuntimeError(message)
    while line := await reader.readline():
        if line.startswith(b'data: {"'):
            now_s = time.perf_counter()
            if json.loads(line[6:]).get("choices"):
                stay.tokens_s.append(now_s)
    writer.close()
