"""What langchain-openai makes of a server: `python call_langchain.py URL` prints it as JSON."""

from __future__ import annotations

import json
import sys
from typing import Any

from langchain_openai import ChatOpenAI, OpenAI


def main() -> None:
    """Ask whole and streamed, as a chat and as a completion."""
    settings: dict[str, Any] = {
        "model": "austen-3m",
        "base_url": f"{sys.argv[1]}/v1",
        "api_key": "none",
        "temperature": 0,
        "max_tokens": 12,
        "max_retries": 0,
    }
    chat, completion = ChatOpenAI(**settings), OpenAI(**settings)
    whole = chat.invoke("Emma was")
    chunks = list(chat.stream("Emma was", stream_usage=True))
    usage = [chunk.usage_metadata for chunk in chunks if chunk.usage_metadata]
    told = {
        "chat": whole.content,
        "chat_usage": whole.usage_metadata["output_tokens"],
        "chat_chunks": [chunk.content for chunk in chunks],
        "chat_chunks_usage": [one["output_tokens"] for one in usage],
        "batch": [one.content for one in chat.batch(["Emma was", "Anne was"])],
        "completion": completion.invoke("Emma was"),
        "completion_chunks": list(completion.stream("Emma was")),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
