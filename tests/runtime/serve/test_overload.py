"""More than a plan has room for, and clients that do not read, or say nothing."""

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

MOST_CONNECTIONS = 20

LONG_NAME = "x" * 50_000
"""Each chunk carries the name, so that a few hundred fill every buffer on the way to a client."""


@pytest.fixture(scope="module")
def narrow(austen: Path, austen_model: Model) -> Iterator[Served]:
    """Give a server with room for two long requests, of which two more may wait."""
    plan = make_plan(austen_model, [((0, 6), (1,))], kv_tokens=500)
    limits = Limits(
        waiting=2,
        unread_tokens=32,
        output_tokens=400,
        body_s=2.0,
        unread_s=1.0,
        connections=MOST_CONNECTIONS,
        head_s=2.0,
    )
    with served(plan, austen, ServeSettings(LONG_NAME, limits)) as running:
        yield running


def test_requests_beyond_the_queue_are_told_to_come_again(narrow: Served) -> None:
    def ask(_: int) -> httpx.Response:
        return httpx.post(
            f"{narrow.url}/v1/completions", json=ASK | {"max_tokens": 200}, timeout=120
        )

    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(ask, range(32)))
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
        # The client is still there: only that it reads nothing ends the connection.
        assert wait_until(lambda: any("id=lazy" in line for line in narrow.heard.lines))
    (line,) = [line for line in narrow.heard.lines if "id=lazy" in line]
    assert int(line.rpartition("tokens=")[2]) < 400
    assert "cut=its-client-" in line  # reads too slowly, or has read nothing for too long


def test_a_body_that_never_arrives_is_given_up(narrow: Served) -> None:
    url = httpx.URL(narrow.url)
    head = (
        f"POST /v1/completions HTTP/1.1\r\nhost: {url.host}\r\n"
        "content-type: application/json\r\ncontent-length: 100\r\n\r\n{"
    )
    with socket.create_connection((url.host, url.port)) as slow:
        slow.sendall(head.encode())
        assert slow.recv(100).startswith(b"HTTP/1.1 408")


def test_connections_beyond_the_limit_are_told_to_come_again(narrow: Served) -> None:
    url = httpx.URL(narrow.url)
    place = (url.host, url.port or 0)

    def ask() -> httpx.Response:
        return httpx.get(f"{narrow.url}/v1/models")

    idle = [socket.create_connection(place) for _ in range(MOST_CONNECTIONS)]
    try:
        assert wait_until(lambda: ask().status_code == 429)
        refused = ask()
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.json()["error"]["code"] == "too_many_connections"
    finally:
        for connection in idle:
            connection.close()
    assert wait_until(lambda: ask().status_code == 200)


@pytest.mark.parametrize("said", [b"", b"GET /v1/models HTTP/1.1\r\nhost: "])
def test_a_connection_that_brings_no_request_is_closed(narrow: Served, said: bytes) -> None:
    url = httpx.URL(narrow.url)
    with socket.create_connection((url.host, url.port or 0), timeout=60) as silent:
        silent.sendall(said)
        assert silent.recv(100) == b""


def test_a_connection_that_waits_for_its_answer_is_kept(narrow: Served) -> None:
    """However long it takes: only the head of a request has to come soon."""
    url = httpx.URL(narrow.url)
    body = json.dumps(ASK | {"max_tokens": 3}).encode()
    head = (
        f"POST /v1/completions HTTP/1.1\r\nhost: {url.host}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    with httpx.Client(base_url=narrow.url, timeout=60) as client:
        for _ in range(3):
            assert client.post("/v1/completions", json=ASK | {"max_tokens": 2}).status_code == 200
    with socket.create_connection((url.host, url.port or 0), timeout=60) as one:
        for _ in range(2):  # the same connection, twice
            one.sendall(head.encode() + body)
            answer = b""
            while b'"usage"' not in answer:
                answer += one.recv(65536)
            assert answer.startswith(b"HTTP/1.1 200")
