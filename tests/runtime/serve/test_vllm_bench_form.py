"""The requests of `vllm bench serve` 0.33 in their own form, and what it counts of the answers.

The form is that of `RequestFuncInput` in vLLM's `benchmarks/lib/endpoint_request_func.py`, read in
the published package: it counts every chunk with choices as a token, the one with usage as the end,
and skips lines that begin with a colon.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest
from support.serving import Served

NEW_TOKENS = 10


@dataclass
class Counted:
    """What the benchmark makes of one stream."""

    text: str = ""
    chunks: int = 0
    output_tokens: int = -1


@pytest.fixture(scope="module")
def client(austen_server: Served) -> Iterator[httpx.Client]:
    with austen_server.client(**{"x-request-id": "bench-0"}) as found:
        yield found


def counted(client: httpx.Client, path: str, body: dict[str, object]) -> Counted:
    """Read a stream as the benchmark does."""
    found = Counted()
    shared = {
        "model": "austen-3m",
        "ignore_eos": True,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    with client.stream("POST", path, json=shared | body) as answer:
        assert answer.status_code == 200
        assert answer.headers["x-request-id"] == "bench-0"
        for line in answer.iter_lines():
            if not line or line.startswith(":") or line == "data: [DONE]":
                continue
            chunk = json.loads(line.removeprefix("data: "))
            if choices := chunk.get("choices"):
                found.text += choices[0].get("text") or choices[0].get("delta", {}).get(
                    "content", ""
                )
                found.chunks += 1
            elif usage := chunk.get("usage"):
                found.output_tokens = usage["completion_tokens"]
    return found


@pytest.mark.parametrize("prompt", ["Emma was", [5, 6, 7, 8, 9]])
def test_completions_count_a_chunk_a_token(client: httpx.Client, prompt: str | list[int]) -> None:
    body = {
        "prompt": prompt,
        "repetition_penalty": 1.0,
        "temperature": 0.0,
        "max_tokens": NEW_TOKENS,
        "logprobs": None,
    }
    found = counted(client, "/v1/completions", body)
    assert (found.chunks, found.output_tokens) == (NEW_TOKENS, NEW_TOKENS)
    plain = {"prompt": prompt, "temperature": 0, "max_tokens": NEW_TOKENS}
    whole = client.post("/v1/completions", json=plain).json()["choices"][0]["text"]
    assert found.text == whole


def test_chats_count_the_role_and_a_chunk_a_token(client: httpx.Client) -> None:
    content = [{"type": "text", "text": "Emma was"}]
    body: dict[str, object] = {
        "messages": [{"role": "user", "content": content}],
        "max_completion_tokens": NEW_TOKENS,
        "temperature": 0.0,
    }
    found = counted(client, "/v1/chat/completions", body)
    assert (found.chunks, found.output_tokens) == (1 + NEW_TOKENS, NEW_TOKENS)
    assert found.text


def test_the_benchmark_finds_the_model_by_itself(client: httpx.Client) -> None:
    first = client.get("/v1/models").json()["data"][0]
    assert (first["id"], first["root"]) == ("austen-3m", "austen-3m")
