"""More than a plan has room for, and clients that do not read."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from support.processes import wait_until
from support.runtime_plans import make_plan
from support.serving import Served, served

from hexplan.model import Model
from hexplan_runtime.serve.settings import Limits, ServeSettings

ASK = {"prompt": "Emma was", "temperature": 0, "ignore_eos": True}

LONG_NAME = "x" * 50_000
"""Each chunk carries the name, so that a few hundred fill every buffer on the way to a client."""


@pytest.fixture(scope="module")
def narrow(austen: Path, austen_model: Model) -> Iterator[Served]:
    """Give a server with room for two long requests, of which two more may wait."""
    plan = make_plan(austen_model, [((0, 6), (1,))], kv_tokens=500)
    limits = Limits(waiting=2, unread_tokens=32, output_tokens=400, body_s=2.0)
    with served(plan, austen, ServeSettings(LONG_NAME, limits)) as running:
        yield running


def test_requests_beyond_the_queue_are_told_to_come_again(narrow: Served) -> None:
    def ask(_: int) -> httpx.Response:
        return httpx.post(
            f"{narrow.url}/v1/completions", json=ASK | {"max_tokens": 200}, timeout=120
        )

    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(ask, range(12)))
    statuses = {answer.status_code for answer in answers}
    assert statuses == {200, 429}
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert int(refused.headers["retry-after"]) >= 1
    assert refused.json()["error"]["type"] == "rate_limit_error"
    good = [answer.json() for answer in answers if answer.status_code == 200]
    assert len({answer["choices"][0]["text"] for answer in good}) == 1
    assert all(answer["usage"]["completion_tokens"] == 200 for answer in good)
    assert "hexplan_admission_rejections_total" in httpx.get(f"{narrow.url}/metrics").text


def test_all_choices_of_a_request_are_refused_together(narrow: Served) -> None:
    answer = httpx.post(
        f"{narrow.url}/v1/completions", json=ASK | {"max_tokens": 300, "n": 9}, timeout=60
    )
    assert answer.status_code == 429
    assert wait_until(lambda: narrow.running() == 0)


@pytest.mark.parametrize(
    ("tokens", "message"),
    [(401, "this server allows 400"), (400, "room for 500")],
)
def test_more_tokens_than_there_is_room_for_are_refused(
    narrow: Served, tokens: int, message: str
) -> None:
    ask = {"prompt": [5] * 101, "max_tokens": tokens}
    answer = httpx.post(f"{narrow.url}/v1/completions", json=ask)
    assert answer.status_code == 400
    assert message in answer.json()["error"]["message"]


def test_a_client_that_stops_reading_is_cut_off_and_slows_nobody(narrow: Served) -> None:
    url = httpx.URL(narrow.url)
    body = json.dumps(ASK | {"max_tokens": 400, "stream": True}).encode()
    head = (
        f"POST /v1/completions HTTP/1.1\r\nhost: {url.host}\r\nx-request-id: lazy\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    with socket.socket() as lazy:
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        lazy.connect((url.host, url.port))
        lazy.sendall(head.encode() + body)
        assert lazy.recv(1)
        other = httpx.post(f"{narrow.url}/v1/completions", json=ASK | {"max_tokens": 5}, timeout=60)
        assert other.status_code == 200
        assert wait_until(lambda: narrow.running() == 0)
    assert wait_until(lambda: any("id=lazy" in line for line in narrow.heard.lines))
    (line,) = [line for line in narrow.heard.lines if "id=lazy" in line]
    assert int(line.rpartition("tokens=")[2]) < 400


def test_a_body_that_never_arrives_is_given_up(narrow: Served) -> None:
    url = httpx.URL(narrow.url)
    head = (
        f"POST /v1/completions HTTP/1.1\r\nhost: {url.host}\r\n"
        "content-type: application/json\r\ncontent-length: 100\r\n\r\n{"
    )
    with socket.create_connection((url.host, url.port)) as slow:
        slow.sendall(head.encode())
        assert slow.recv(100).startswith(b"HTTP/1.1 408")
