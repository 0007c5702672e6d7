"""A client of `hexplan serve` for thousands of streams: bare sockets, one event loop."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

DONE: Final = b"[DONE]"
PATIENCE_S: Final = 300.0


@dataclass(slots=True)
class Answer:
    """What one streamed completion brought."""

    status: int = 0
    tokens: list[bytes] = field(default_factory=list)
    """The bytes of each token, as its logprobs show them."""
    text: str = ""
    usage: int | None = None
    """Completion tokens, as the server counts them."""
    reason: str | None = None
    error: str | None = None
    is_done: bool = False
    """Whether the mark of the end came."""


@dataclass(frozen=True, slots=True)
class Client:
    """A server's address."""

    url: str

    @asynccontextmanager
    async def posted(
        self, path: str, body: dict[str, Any]
    ) -> AsyncIterator[tuple[int, asyncio.StreamReader]]:
        """Send a request, and yield the status and the rest of the answer."""
        place = urlsplit(self.url)
        reader, writer = await asyncio.open_connection(place.hostname, place.port)
        data = json.dumps(body).encode()
        head = (
            f"POST {path} HTTP/1.1\r\nhost: {place.netloc}\r\nconnection: close\r\n"
            f"content-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n"
        )
        try:
            writer.write(head.encode() + data)
            answered = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE_S)
            yield int(answered.split(b" ", 2)[1]), reader
        finally:
            writer.close()

    async def complete(self, body: dict[str, Any], stop_after: int | None = None) -> Answer:
        """Stream a completion; leave after so many tokens if that is given."""
        asked = {"stream": True, "logprobs": 0, "stream_options": {"include_usage": True}} | body
        answer = Answer()
        async with self.posted("/v1/completions", asked) as (status, reader):
            answer.status = status
            if status != 200:
                answer.error = (await reader.read()).decode(errors="replace")
                return answer
            async for data in _events(reader):
                if data == DONE:
                    answer.is_done = True
                    break
                _take(answer, json.loads(data))
                if stop_after is not None and len(answer.tokens) >= stop_after:
                    break
        return answer


async def _events(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Yield the data of each event, which the chunks of HTTP may cut anywhere."""
    rest = b""
    while size := int(await asyncio.wait_for(reader.readline(), PATIENCE_S) or b"0", 16):
        rest += (await reader.readexactly(size + 2))[:-2]
        *whole, rest = rest.split(b"\n\n")
        for event in whole:
            yield event.removeprefix(b"data: ")


def _take(answer: Answer, chunk: dict[str, Any]) -> None:
    if "error" in chunk:
        answer.error = chunk["error"]["message"]
        return
    for choice in chunk["choices"]:
        answer.text += choice["text"]
        answer.reason = choice["finish_reason"] or answer.reason
        if choice["logprobs"] is not None:
            answer.tokens += [token_bytes(token) for token in choice["logprobs"]["tokens"]]
    if chunk.get("usage"):
        answer.usage = chunk["usage"]["completion_tokens"]


def token_bytes(shown: str) -> bytes:
    r"""Return the bytes of a token: its text, or what `bytes:\xe2` spells."""
    if shown.startswith("bytes:"):
        return bytes.fromhex(shown.removeprefix("bytes:").replace("\\x", ""))
    return shown.encode()
