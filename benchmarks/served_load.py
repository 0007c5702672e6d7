"""Requests of a trace over HTTP, sent when they are due whatever the server does, and their times.

    python benchmarks/served_load.py URL VOCAB ARRIVALS.json

One connection a request, in one thread: it costs the server's processors little.

The clock is the caller's. `Clock` stands still while ranks wait for a processor.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

Arrival = tuple[float, int, int]
"""Time in seconds, prompt tokens, output tokens."""


_LOOK_S: Final = 0.02
"""How long to sleep by the clock on the wall before another look at a slower one."""


class Clock:
    """Time on the wall, less that for which ranks stood ready and had no processor.

    Other work on the machine then takes no part in what is measured. Waits of several ranks are
    added up, which is exact for one rank, and where a token meets the ranks in turn. Where several
    are busy at once, some waits are counted twice. Where ways share no rank, a request meets the
    ranks of one of them, and the mean over the ways counts.

    Parameters
    ----------
    ranks
        Process ids; what their main threads do counts.
    ways
        How many ways requests take, of as many ranks each.
    """

    def __init__(self, ranks: Sequence[int], ways: int = 1) -> None:
        self._ways = ways
        self._files = [Path(f"/proc/{rank}/task/{rank}/schedstat") for rank in ranks]

    def now_s(self) -> float:
        """Return the time."""
        return time.perf_counter() - self.ran_and_waited_s()[1] / self._ways

    def ran_and_waited_s(self) -> tuple[float, float]:
        """Return for how long the ranks have run, and were ready and did not, added up."""
        figures = [[int(one) for one in file.read_text().split()] for file in self._files]
        ran, waited = (sum(one[index] for one in figures) for index in (0, 1))
        return ran / 1e9, waited / 1e9


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


def send(url: str, arrivals: Sequence[Arrival], vocab: int, clock: Clock) -> list[Stay]:
    """Send the requests of a trace, and return their times.

    Raises
    ------
    RuntimeError
        A request did not get as many tokens as it asked for.
    """
    return asyncio.run(_send_all(url, arrivals, vocab, clock))


async def _send_all(url: str, arrivals: Sequence[Arrival], vocab: int, clock: Clock) -> list[Stay]:
    # Another trace has other prompts: the server keeps the beginnings of those that it has seen.
    rng = random.Random(repr(arrivals))  # noqa: S311
    bodies = [_body([rng.randrange(vocab) for _ in range(p)], o) for _, p, o in arrivals]
    begin_s = clock.now_s() + 0.1
    stays = [Stay(begin_s + at_s) for at_s, _, _ in arrivals]
    async with asyncio.TaskGroup() as group:
        for body, stay in zip(bodies, stays, strict=True):
            group.create_task(_stay(url, body, stay, clock))
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


async def _stay(url: str, body: bytes, stay: Stay, clock: Clock) -> None:
    """Send one request when it is due, and note when each chunk with a token comes."""
    while (left_s := stay.due_s - clock.now_s()) > 0:
        await asyncio.sleep(left_s if left_s < _LOOK_S else max(_LOOK_S, left_s / 2))
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
            now_s = clock.now_s()
            if json.loads(line[6:]).get("choices"):
                stay.tokens_s.append(now_s)
    writer.close()


def main() -> None:
    """Send a trace by the clock on the wall, and print its figures."""
    url, vocab, file = sys.argv[1:]
    arrivals = [tuple(arrival) for arrival in json.loads(Path(file).read_text(encoding="utf-8"))]
    print(json.dumps(asdict(Figures.of(send(url, arrivals, int(vocab), Clock(()))))))


if __name__ == "__main__":
    main()
