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
import json
import socket
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from urllib.parse import urlsplit

from prometheus_client.parser import text_string_to_metric_families
from serve_client import Answer, Client
from serve_greedy import Greedy, greedy
from serve_process import AUSTEN, ServerProcess, serving, two_stages, usage

LENGTHS: Final = (2, 5, 9, 16, 24, 33, 48, 60)
LONG_TOKENS: Final = 400
"""What clients ask for that stop reading: more than their share of any buffer holds."""
LAZY: Final[dict[str, int]] = {"n": 64, "logprobs": 5, "stream": True}
"""Of those clients: many choices with logprobs, so that no buffer to a client holds all of it."""
GIVEN_UP_S: Final = 240.0


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
    waiting = arguments.streams + arguments.stopped * LAZY["n"]
    options = ["--max-waiting", str(waiting), "--no-access-log"]
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
    lazy = [
        asyncio.create_task(asyncio.to_thread(_stop_reading, server, stopped))
        for _ in range(stopped)
    ]
    asked = [{"prompt": one.prompt_ids, **_ask(len(one.tokens))} for one in wanted]
    answers = await asyncio.gather(*(client.complete(ask) for ask in asked))
    cut_off = await asyncio.gather(*lazy)
    watch.cancel()
    if stopped:
        print(f"{sum(cut_off)} of {stopped} clients that stopped reading were cut off")
    return [Seen(*pair) for pair in zip(wanted, answers, strict=True)]


def _stop_reading(server: ServerProcess, stopped: int) -> bool:
    """Ask for more than any buffer holds, read a little, and say whether the server gives up.

    The connection stays open until the server has ended all `stopped` such requests by itself.
    """
    place = urlsplit(server.url)
    body = json.dumps({"prompt": [5], **_ask(LONG_TOKENS), **LAZY}).encode()
    head = (
        f"POST /v1/completions HTTP/1.1\r\nhost: {place.netloc}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    with socket.socket() as lazy:
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        lazy.connect((place.hostname, place.port))
        lazy.sendall(head.encode() + body)
        lazy.recv(1)
        deadline_s = time.monotonic() + GIVEN_UP_S
        while time.monotonic() < deadline_s:
            if _aborted(server) >= stopped * LAZY["n"]:
                return True
            time.sleep(0.2)
    return False


def _aborted(server: ServerProcess) -> float:
    """Return how many choices the server has cancelled."""
    return sum(
        sample.value
        for family in text_string_to_metric_families(server.get("/metrics"))
        for sample in family.samples
        if sample.name == "hexplan_request_success_total"
        and sample.labels["finished_reason"] == "abort"
    )


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
