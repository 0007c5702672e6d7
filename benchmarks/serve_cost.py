"""Print what the router and HTTP cost beside the steps of the ranks.

    python benchmarks/serve_cost.py [--streams 1,8,64] [--sizes 3M,28M,125M] [--tokens 64]

Processor time, not elapsed time, so that other load changes little: that of the router's process
(HTTP, the engine's thread and what moves bytes) for each step of all streams, beside that of both
ranks together. Each is the least of a few rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from planner import machine, row
from random_llamas import make_llama
from serve_client import Client
from serve_process import AUSTEN, ServerProcess, serving, two_stages, usage

PROMPT_TOKENS: Final = 8
HEADINGS: Final = (
    "model",
    "streams",
    "router, us a token",
    "router, ms a step",
    "ranks, ms a step",
    "share",
)


@dataclass(frozen=True, slots=True)
class Cost:
    """Processor time of one run, in seconds."""

    tokens: int
    router_s: float
    ranks_s: float
    """Of both ranks together."""


def main() -> None:
    """Serve each model, load it with so many streams, and print a row each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", default="1,8,64")
    parser.add_argument("--sizes", default="3M,28M,125M")
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3, help="after one to warm up")
    parser.add_argument("--folder", type=Path, help="where models are kept; a temporary one else")
    arguments = parser.parse_args()
    print(f"{date.today()}, {machine()}, {arguments.tokens} tokens a stream\n")  # noqa: DTZ011
    print(row(HEADINGS))
    print(row(["---"] * len(HEADINGS)))
    with TemporaryDirectory() as temporary:
        models = arguments.folder or Path(temporary)
        for size in arguments.sizes.split(","):
            folder = AUSTEN if size == "3M" else _with_tokenizer(make_llama(size, models / size))
            work = Path(temporary) / f"served-{size}"
            work.mkdir()
            with serving(two_stages(folder), work, "--no-access-log") as server:
                for streams in map(int, arguments.streams.split(",")):
                    rounds = (arguments.tokens, arguments.rounds)
                    cost = measure(server, streams, *rounds)
                    print(row([size, str(streams), *_cells(cost, streams)]), flush=True)


def measure(server: ServerProcess, streams: int, tokens: int, rounds: int) -> Cost:
    """Run so many streams once to warm up, and a few times to measure."""
    asyncio.run(_ask(server, streams, 4))
    server.wait_until_idle()
    router_s, ranks_s = [], []
    for _ in range(rounds):
        before = _times(server)
        asyncio.run(_ask(server, streams, tokens))
        server.wait_until_idle()
        after = _times(server)
        router_s.append(after.router_s - before.router_s)
        ranks_s.append(after.ranks_s - before.ranks_s)
    return Cost(streams * tokens, min(router_s), min(ranks_s))


def _times(server: ServerProcess) -> Cost:
    ranks_s = sum(usage(pid).cpu_s for pid in server.rank_pids)
    return Cost(0, usage(server.pid).cpu_s, ranks_s)


async def _ask(server: ServerProcess, streams: int, tokens: int) -> None:
    client = Client(server.url)
    ask = {"max_tokens": tokens, "temperature": 0, "ignore_eos": True, "logprobs": None}
    prompts = [[1 + (index + at) % 100 for at in range(PROMPT_TOKENS)] for index in range(streams)]
    answers = await asyncio.gather(*(client.complete(ask | {"prompt": one}) for one in prompts))
    if any(answer.usage != tokens for answer in answers):
        sys.exit("a stream was cut off")


def _with_tokenizer(folder: Path) -> Path:
    """Give a model without words the tokenizer of another one, whose ids it has too."""
    for file in AUSTEN.glob("tokenizer*"):
        shutil.copy(file, folder)
    return folder


def _cells(cost: Cost, streams: int) -> Iterator[str]:
    steps = cost.tokens / streams
    yield f"{1e6 * cost.router_s / cost.tokens:.0f}"
    yield f"{1e3 * cost.router_s / steps:.2f}"
    yield f"{1e3 * cost.ranks_s / steps:.2f}"
    yield f"{100 * cost.router_s / cost.ranks_s:.1f} %"


if __name__ == "__main__":
    main()
