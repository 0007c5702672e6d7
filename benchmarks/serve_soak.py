"""Serve a tiny plan for ten minutes to clients of all kinds, and watch memory and descriptors.

    python benchmarks/serve_soak.py [--minutes 10] [--clients 24]

Clients come and go all the time: prompts and answers of mixed lengths, streamed and whole, some of
which are left half-way, and some of which are wrong. Each answer that ends is compared with
transformers' greedy tokens. A row a minute; exits with 1 if a token was wrong, if something is
still held at the end, or if memory or descriptors grew after the first fifth.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from planner import machine, row
from serve_client import Client
from serve_greedy import Greedy, greedy
from serve_process import AUSTEN, ServerProcess, Usage, serving, two_stages, usage

MIB: Final = 2**20
MEMORY: Final = "32MiB"
"""Of each device: so little that one request uses all of each KV cache. The kernel gives memory to
a process only once it is written, so that a large cache would seem to grow."""
LONGEST: Final = 255
LENGTHS: Final = (1, 4, 11, 30, 70, 130, 200)
TOKENS: Final = 96
MOST_GROWTH: Final = 0.05
"""Of resident memory after the first fifth of the time."""
SETTLED_S: Final = 3.0
"""How long the server may take to close what clients have left."""
HEADINGS: Final = (
    "minute",
    "requests",
    "tokens",
    "left half-way",
    "router, MiB",
    "ranks, MiB",
    "descriptors",
    "threads",
)


@dataclass
class Tally:
    """What clients have seen so far."""

    ends: Counter[str] = field(default_factory=Counter)
    tokens: int = 0
    wrong: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Look:
    """What the processes hold, once no request is under way."""

    router: Usage
    ranks: tuple[Usage, ...]

    @property
    def ranks_bytes(self) -> int:
        """Resident memory of all ranks."""
        return sum(rank.rss_bytes for rank in self.ranks)


def main() -> None:
    """Serve, ask, look, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--clients", type=int, default=24)
    arguments = parser.parse_args()
    references = greedy(AUSTEN, LENGTHS, 8, TOKENS)
    print(f"{date.today()}, {machine()}, {arguments.clients} clients\n")  # noqa: DTZ011
    print(row(HEADINGS))
    print(row(["---"] * len(HEADINGS)), flush=True)
    with TemporaryDirectory() as folder, serving(two_stages(memory=MEMORY), Path(folder)) as server:
        tally, looks = Tally(), []
        asyncio.run(warm_up(server))
        crowd = Crowd(server, references, tally)
        rounds = max(5, round(arguments.minutes))
        for index in range(rounds):
            asyncio.run(crowd.ask_for(arguments.minutes * 60 / rounds, arguments.clients, index))
            looks.append(_look(server))
            print(row(_cells(index, tally, looks[-1])), flush=True)
        seen = server.get("/plan")
    held = [stage["kv_held_tokens"] for stage in seen["stages"]]
    faults = [*tally.wrong[:5], *_growth(looks)]
    faults += [f"KV held at the end: {held}"] if any(held) else []
    counts = ", ".join(f"{count:,} {end}" for end, count in tally.ends.most_common())
    print(f"\n{counts}; {len(tally.wrong)} wrong")
    print("\n".join(faults) or "nothing grew")
    sys.exit(1 if faults else 0)


async def warm_up(server: ServerProcess) -> None:
    """Run prompts of every length, and fill the KV caches.

    A rank on a CPU grows by about half a MiB with each number of tokens that a step has for the
    first time, probably as oneDNN keeps its kernels. A few thousand requests do not meet them all.
    """
    client, body = Client(server.url), {"max_tokens": 1, "logprobs": None}
    for length in range(1, LONGEST + 1):
        await client.complete(body | {"prompt": [5] * length})
    await client.complete(body | {"prompt": [[5] * LONGEST] * 64})


@dataclass(frozen=True, slots=True)
class Crowd:
    """Clients that come and go."""

    server: ServerProcess
    references: list[Greedy]
    tally: Tally

    async def ask_for(self, seconds: float, clients: int, seed: int) -> None:
        """Let so many clients ask again and again."""
        end_s = time.monotonic() + seconds
        await asyncio.gather(*(self._ask_until(end_s, seed * clients + i) for i in range(clients)))

    async def _ask_until(self, end_s: float, seed: int) -> None:
        dice = random.Random(seed)  # noqa: S311
        while time.monotonic() < end_s:
            await self._ask_once(dice)

    async def _ask_once(self, dice: random.Random) -> None:
        wanted, client = dice.choice(self.references), Client(self.server.url)
        tokens = dice.choice((1, 4, 16, 48, TOKENS))
        body = {
            "prompt": wanted.prompt_ids,
            "max_tokens": tokens,
            "temperature": 0,
            "ignore_eos": True,
        }
        draw = dice.random()
        if draw < 0.05:
            answer = await client.complete(body | {"max_tokens": -1})
            self._note("refused" if answer.status == 400 else f"wrong status {answer.status}")
            return
        leaves = dice.randrange(1, tokens + 1) if draw < 0.3 else None
        answer = await client.complete(body, stop_after=leaves)
        self.tally.tokens += len(answer.tokens)
        expected = list(wanted.tokens[:tokens])[: len(answer.tokens) if leaves else None]
        if answer.status != 200 or answer.tokens != expected:
            self._note(f"wrong: {answer.status} {answer.error} {len(answer.tokens)} tokens")
        else:
            self._note("left half-way" if leaves else "ended")

    def _note(self, end: str) -> None:
        self.tally.ends[end] += 1
        if end.startswith("wrong"):
            self.tally.wrong.append(end)


def _look(server: ServerProcess) -> Look:
    server.wait_until_idle()
    time.sleep(SETTLED_S)
    return Look(usage(server.pid), tuple(map(usage, server.rank_pids)))


def _cells(index: int, tally: Tally, look: Look) -> tuple[str, ...]:
    return (
        str(index + 1),
        f"{tally.ends.total():,}",
        f"{tally.tokens:,}",
        f"{tally.ends['left half-way']:,}",
        f"{look.router.rss_bytes / MIB:.1f}",
        f"{look.ranks_bytes / MIB:.1f}",
        str(look.router.descriptors),
        str(look.router.threads),
    )


def _growth(looks: list[Look]) -> list[str]:
    """Return what grew from the first fifth to the end."""
    early, late = looks[len(looks) // 5], looks[-1]
    pairs = {
        "router": (early.router.rss_bytes, late.router.rss_bytes),
        "ranks": (early.ranks_bytes, late.ranks_bytes),
    }
    found = [
        f"memory of the {name} grew from {then / MIB:.1f} to {now / MIB:.1f} MiB"
        for name, (then, now) in pairs.items()
        if now > then * (1 + MOST_GROWTH)
    ]
    if late.router.descriptors > early.router.descriptors:
        found.append(
            f"descriptors grew from {early.router.descriptors} to {late.router.descriptors}"
        )
    return found


if __name__ == "__main__":
    main()
