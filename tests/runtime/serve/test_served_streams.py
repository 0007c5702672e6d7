"""Streams and errors as bytes: what clients other than OpenAI's read."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.processes import wait_until
from support.serving import Served

ASK = {"model": "austen-3m", "prompt": "Emma was", "max_tokens": 6, "temperature": 0}


@pytest.fixture(scope="module")
def client(austen_server: Served) -> Iterator[httpx.Client]:
    with austen_server.client() as found:
        yield found


def events(client: httpx.Client, **ask: object) -> list[str]:
    """Return the data of each event of a stream."""
    answer = client.post("/v1/completions", json=ASK | ask | {"stream": True})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    *parts, rest = answer.text.split("\n\n")
    assert rest == ""
    assert all(part.startswith("data: ") and "\n" not in part for part in parts)
    return [part.removeprefix("data: ") for part in parts]


def test_a_stream_is_lines_of_data_and_ends_with_done(client: httpx.Client) -> None:
    *chunks, last = events(client)
    assert last == "[DONE]"
    assert len(chunks) == 6
    assert all(json.loads(chunk)["object"] == "text_completion" for chunk in chunks)
    assert all("usage" not in json.loads(chunk) for chunk in chunks)


def test_continuous_usage_counts_the_tokens_so_far(client: httpx.Client) -> None:
    options = {"include_usage": True, "continuous_usage_stats": True}
    *chunks, _ = map(json.loads, events(client, stream_options=options)[:-1])
    assert [chunk["usage"]["completion_tokens"] for chunk in chunks] == [1, 2, 3, 4, 5, 6]


def test_a_token_without_text_has_its_own_chunk(client: httpx.Client) -> None:
    """Every token but the last is held back, as it may begin the stop string."""
    whole = client.post("/v1/completions", json=ASK).json()["choices"][0]["text"]
    *chunks, _ = events(client, stop=whole + "!")
    texts = [json.loads(chunk)["choices"][0]["text"] for chunk in chunks]
    assert texts == [""] * 5 + [whole]


def test_choices_of_one_stream_carry_their_index(client: httpx.Client) -> None:
    *chunks, _ = events(client, n=2, prompt=["Emma", "Anne"])
    indices = Counter(json.loads(chunk)["choices"][0]["index"] for chunk in chunks)
    assert indices == {0: 6, 1: 6, 2: 6, 3: 6}


def test_a_request_id_comes_back_and_is_in_the_log(
    client: httpx.Client, austen_server: Served
) -> None:
    answer = client.post("/v1/completions", json=ASK, headers={"x-request-id": "mine-7"})
    assert answer.headers["x-request-id"] == "mine-7"
    assert answer.json()["id"] == "cmpl-mine-7"
    lines = [line for line in austen_server.heard.lines if "id=mine-7" in line]
    assert len(lines) == 1
    assert "POST /v1/completions 200" in lines[0]
    assert "tokens=6" in lines[0]


def test_a_request_id_that_could_forge_a_log_line_is_replaced(client: httpx.Client) -> None:
    answer = client.get("/v1/models", headers={"x-request-id": "a b\tc"})
    assert len(answer.headers["x-request-id"]) == 32


def test_no_prompt_and_no_answer_is_ever_logged(
    client: httpx.Client, austen_server: Served
) -> None:
    client.post("/v1/completions", json=ASK | {"prompt": "canarybird"})
    client.post("/v1/completions", json=ASK | {"stop": ["canarybird"] * 99})
    client.get("/v1/models?key=canarybird")
    assert len(austen_server.heard.lines) >= 3
    assert not [line for line in austen_server.heard.lines if "canarybird" in line]


def test_a_client_that_leaves_frees_its_room(client: httpx.Client, austen_server: Served) -> None:
    ask = ASK | {"max_tokens": 500, "n": 8, "ignore_eos": True}
    headers = {"x-request-id": "left-stream"}
    with client.stream(
        "POST", "/v1/completions", json=ask | {"stream": True}, headers=headers
    ) as answer:
        next(answer.iter_bytes())
    with pytest.raises(httpx.ReadTimeout):
        client.post(
            "/v1/completions", json=ask, timeout=0.5, headers={"x-request-id": "left-whole"}
        )
    assert wait_until(lambda: austen_server.running() == 0)
    for request_id in ("left-stream", "left-whole"):
        line = next(line for line in austen_server.heard.lines if request_id in line)
        assert int(line.rpartition("tokens=")[2]) < 8 * 500


def test_a_stop_string_frees_the_room_of_its_choice(
    client: httpx.Client, austen_server: Served
) -> None:
    answer = client.post("/v1/completions", json=ASK | {"max_tokens": 400, "stop": [" "]})
    assert answer.json()["choices"][0]["finish_reason"] == "stop"
    assert wait_until(lambda: austen_server.running() == 0)


@pytest.mark.parametrize(
    ("method", "path", "body", "kind", "status", "code"),
    [
        ("POST", "/v1/completions", b"{", "application/json", 400, "invalid_json"),
        ("POST", "/v1/completions", b"[]", "application/json", 400, "invalid_json"),
        ("POST", "/v1/completions", b"\xff", "application/json", 400, "invalid_json"),
        ("POST", "/v1/completions", b"[" * 10**5, "application/json", 400, "invalid_json"),
        ("POST", "/v1/completions", b"{}", "application/json", 400, "missing_required_parameter"),
        ("POST", "/v1/completions", b"{}", "text/plain", 400, "invalid_content_type"),
        ("POST", "/v1/chat/completions", b'{"messages": []}', "application/json", 400, None),
        ("POST", "/v1/embeddings", b"{}", "application/json", 404, "unknown_path"),
        ("GET", "/v1/completions", b"", "", 405, "method_not_allowed"),
        ("GET", "/v1/models/nobody", b"", "", 404, "model_not_found"),
        ("POST", "/v1/completions", b" " * (2**24 + 1), "application/json", 413, "body_too_large"),
        ("POST", "/detokenize", b'{"tokens": [-1]}', "application/json", 400, "invalid_value"),
        ("POST", "/tokenize", b"{}", "application/json", 400, None),
    ],
)
def test_each_wrong_request_gets_its_status_and_openais_error(
    client: httpx.Client,
    method: str,
    path: str,
    body: bytes,
    kind: str,
    status: int,
    code: str | None,
) -> None:
    answer = client.request(method, path, content=body, headers={"content-type": kind})
    assert answer.status_code == status
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert code is None or error["code"] == code


def test_a_body_of_unknown_length_is_bounded_too(client: httpx.Client) -> None:
    def parts() -> Iterator[bytes]:
        yield from (b" " * 2**20 for _ in range(17))

    headers = {"content-type": "application/json"}
    answer = client.post("/v1/completions", content=parts(), headers=headers)
    assert answer.status_code == 413


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
FIELDS = ("prompt", "max_tokens", "temperature", "top_p", "top_k", "n", "stop", "seed", "echo")


@settings(max_examples=60)
@given(wrong=st.dictionaries(st.sampled_from(FIELDS), JSON, min_size=1, max_size=3))
def test_no_values_of_fields_break_the_server(
    client: httpx.Client, wrong: dict[str, object]
) -> None:
    body = json.dumps(ASK | {"max_tokens": 1} | wrong).encode()
    headers = {"content-type": "application/json"}
    answer = client.post("/v1/completions", content=body, headers=headers)
    assert answer.status_code in (200, 400)
    assert ("error" in answer.json()) == (answer.status_code == 400)


def test_many_streams_at_once_lose_no_token(austen_server: Served) -> None:
    """Each of 100 streams has as many chunks as tokens, in the order of the single answer."""

    async def ask_all() -> list[str]:
        limits = httpx.Limits(max_connections=None)
        base = austen_server.url
        async with httpx.AsyncClient(base_url=base, timeout=120, limits=limits) as client:
            asks = [client.post("/v1/completions", json=ASK | {"stream": True}) for _ in range(100)]
            return [answer.text for answer in await asyncio.gather(*asks)]

    texts = asyncio.run(ask_all())
    chunks = [
        [json.loads(part[6:])["choices"][0]["text"] for part in text.split("\n\n")[:-2]]
        for text in texts
    ]
    assert len(chunks[0]) == 6
    assert all(one == chunks[0] for one in chunks)
