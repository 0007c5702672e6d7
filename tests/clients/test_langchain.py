"""langchain-openai, unmodified."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
from clients.conftest import Installed
from support.serving import Served

CLIENT = "langchain"
pytestmark = pytest.mark.slow


def test_langchain_gets_the_same_text_whole_and_streamed(
    clients_server: Served, installed: Installed
) -> None:
    script = Path(__file__).with_name("call_langchain.py")
    done = installed.run("python", script, clients_server.url)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    ask = {"prompt": "Emma was", "temperature": 0, "max_tokens": 12}
    plain = httpx.post(f"{clients_server.url}/v1/completions", json=ask, timeout=60).json()
    assert told["completion"] == plain["choices"][0]["text"]
    assert "".join(told["completion_chunks"]) == told["completion"]
    assert len(told["completion_chunks"]) == 12
    assert "".join(told["chat_chunks"]) == told["chat"] == told["batch"][0] != told["batch"][1]
    assert told["chat_usage"] == 12
    assert told["chat_chunks_usage"] == [12]
