"""Serve a tiny plan of two stages to many streams at once, and compare every token.

    python benchmarks/serve_load.py [--streams 1000] [--tokens 32] [--stopped 1]

Each stream asks for a prompt that transformers has continued greedily, and each of its tokens must
be transformers' token, in its place, in a chunk of its own. Beside them some clients stop reading:
the server must cut those off, and the others must get all of their tokens. Exits with 1 if a token
is lost, doubled or out of order.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from serve_client import Answer, Client
from serve_greedy import Greedy, greedy
from serve_process import AUSTEN, ServerProcess, serving, two_stages, usage

LENGTHS: Final = (2, 5, 9, 16, 24, 33, 48, 60)
LONG_TOKENS: Final = 400
"""What clients ask for that stop reading: more than their share of any buffer holds."""
LONG_NAME: Final = "x" * 20_000
"""Each chunk carries the model's name, so that few of them fill every buffer to a client."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What came of one stream."""

    expected: Greedy
    answer: Answer

    @property
    def verdict(self) -> str:
        """What is wrong with it; `right` if nothing is."""
        wanted, tokens = list(self.expected.tokens), self.answer.tokens
        if self.answer.status != 200 or self.answer.error is not None:
            return f"refused: {self.answer.status} {self.answer.error}"
        if tokens == wanted:
            whole = self.answer.is_done and self.answer.usage == len(wanted)
            return "right" if whole else "cut off"
        if len(tokens) < len(wanted):
            return "lost"
        return "doubled" if len(tokens) > len(wanted) else "out of order"


def main() -> None:
    """Serve, ask, compare and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--stopped", type=int, default=0, help="clients that stop reading")
    arguments = parser.parse_args()
    references = greedy(AUSTEN, LENGTHS, max(1, arguments.streams // 32), arguments.tokens)
    options = ["--max-waiting", str(arguments.streams), "--no-access-log"]
    options += ["--max-unread", "32"] if arguments.stopped else []
    with (
        TemporaryDirectory() as folder,
        serving(two_stages(), Path(folder), *options) as server,
    ):
        wanted = [references[i % len(references)] for i in range(arguments.streams)]
        seen = measure(server, wanted, arguments.stopped)
    verdicts = Counter(one.verdict for one in seen)
    for verdict, count in verdicts.most_common():
        print(f"{count:6,} {verdict}")
    sys.exit(0 if verdicts["right"] == len(seen) else 1)


def measure(server: ServerProcess, wanted: list[Greedy], stopped: int) -> list[Seen]:
    """Ask for all streams at once, and print what it took."""
    before = usage(server.pid)
    peak = Peak()
    begun_s = time.monotonic()
    seen = asyncio.run(ask_all(server, wanted, stopped, peak))
    elapsed_s = time.monotonic() - begun_s
    server.wait_until_idle()
    after = usage(server.pid)
    tokens = sum(len(one.answer.tokens) for one in seen)
    print(
        f"{len(seen):,} streams, at most {peak.running:,} of them running in the engine at once; "
        f"{tokens:,} tokens in {elapsed_s:.1f} s"
    )
    print(
        f"router: {after.cpu_s - before.cpu_s:.1f} s of processor time, "
        f"{1e6 * (after.cpu_s - before.cpu_s) / max(tokens, 1):.0f} us a token; "
        f"descriptors {before.descriptors}, at most {peak.descriptors:,}, then {after.descriptors}"
    )
    return seen


@dataclass(slots=True)
class Peak:
    """The most of what was seen at one time."""

    running: int = 0
    descriptors: int = 0


async def ask_all(
    server: ServerProcess, wanted: list[Greedy], stopped: int, peak: Peak
) -> list[Seen]:
    """Run all streams, and look at the server meanwhile."""
    client = Client(server.url)
    watch = asyncio.create_task(_watch(server, peak))
    lazy = [asyncio.create_task(_stop_reading(client)) for _ in range(stopped)]
    asked = [{"prompt": one.prompt_ids, **_ask(len(one.tokens))} for one in wanted]
    answers = await asyncio.gather(*(client.complete(ask) for ask in asked))
    cut_off = await asyncio.gather(*lazy)
    watch.cancel()
    if stopped:
        print(f"{sum(cut_off)} of {stopped} clients that stopped reading were cut off")
    return [Seen(*pair) for pair in zip(wanted, answers, strict=True)]


async def _stop_reading(client: Client) -> bool:
    """Ask for more than any buffer holds, read a little, and say whether the server gives up."""
    ask = {"prompt": [5], **_ask(LONG_TOKENS), "n": 32, "logprobs": 5, "stream": True}
    async with client.posted("/v1/completions", ask) as (status, reader):
        assert status == 200
        got = await reader.readline()
        reader._transport.pause_reading()
        await asyncio.sleep(3600)
        return bool(got)


def _ask(tokens: int) -> dict[str, object]:
    return {"max_tokens": tokens, "temperature": 0, "ignore_eos": True}


async def _watch(server: ServerProcess, peak: Peak) -> None:
    while True:
        seen = await asyncio.to_thread(server.get, "/plan")
        peak.running = max(peak.running, seen["running"])
        peak.descriptors = max(peak.descriptors, usage(server.pid).descriptors)
        await asyncio.sleep(0.2)


if __name__ == "__main__":
    main()
