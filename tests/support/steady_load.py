"""A steady load: `python steady_load.py URL CLIENTS SECONDS`, which prints what came of it as JSON.

Each client asks for the same continuation over and over, one request at a time, and begins no other
after so many seconds. Printed are the tokens per second that came within that time, and for each
client the different texts that it got.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

import httpx

PROMPT = "It is a truth universally acknowledged, that a single man, number {}, must be in want"
TOKENS = 16


async def client(http: httpx.AsyncClient, url: str, number: int, until_s: float) -> tuple[int, set]:
    """Return how many tokens came in time, and the texts."""
    body = {"prompt": PROMPT.format(number), "max_tokens": TOKENS, "temperature": 0, "stream": True}
    body |= {"model": "austen-3m", "ignore_eos": True}
    tokens, texts = 0, set[str]()
    while time.monotonic() < until_s:
        text = ""
        async with http.stream("POST", f"{url}/v1/completions", json=body) as answer:
            assert answer.status_code == 200, await answer.aread()
            async for line in answer.aiter_lines():
                if line.startswith('data: {"'):
                    choices = json.loads(line.removeprefix("data: "))["choices"]
                    text += "".join(choice["text"] for choice in choices)
                    tokens += bool(choices) and time.monotonic() < until_s
        texts.add(text)
    return tokens, texts


async def main() -> None:
    """Run the clients."""
    url, clients, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    until_s = time.monotonic() + seconds
    async with httpx.AsyncClient(timeout=300, trust_env=False) as http:
        runs = (client(http, url, number, until_s) for number in range(clients))
        found = await asyncio.gather(*runs)
    rate = sum(tokens for tokens, _ in found) / seconds
    print(json.dumps({"tokens_per_s": rate, "texts": [sorted(texts) for _, texts in found]}))


if __name__ == "__main__":
    asyncio.run(main())
