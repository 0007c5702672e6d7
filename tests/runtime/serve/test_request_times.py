"""What /metrics says of the times of requests, as relations between them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.processes import wait_until
from support.runtime_plans import make_plan
from support.serving import Served, served

from hexplan.model import Model

ASK = {"prompt": [5, 6, 7, 8], "temperature": 0, "ignore_eos": True}
Figures = dict[str, float]


@pytest.fixture(scope="module")
def one_at_a_time(austen: Path, austen_model: Model) -> Iterator[Served]:
    """Give a server with room for one request of 200 tokens."""
    plan = make_plan(austen_model, [((0, 6), (1,))], kv_tokens=220)
    with served(plan, austen) as running:
        yield running


def figures(server: Served) -> Figures:
    """Return the sums, counts and counters of /metrics, without what is told of buckets."""
    assert wait_until(lambda: server.running() == 0)
    return {
        sample.name.removeprefix("hexplan_")
        + sample.labels.get("finished_reason", ""): sample.value
        for family in text_string_to_metric_families(httpx.get(f"{server.url}/metrics").text)
        for sample in family.samples
        if not sample.name.endswith("_bucket")
    }


def ask(server: Served, max_tokens: int, **more: object) -> httpx.Response:
    body = ASK | {"max_tokens": max_tokens} | more
    answer = httpx.post(f"{server.url}/v1/completions", json=body, timeout=120)
    assert answer.status_code == 200
    return answer


def risen(before: Figures, after: Figures) -> Figures:
    return {name: value - before.get(name, 0.0) for name, value in after.items()}


def test_the_parts_of_a_requests_time_add_up(one_at_a_time: Served) -> None:
    before = figures(one_at_a_time)
    ask(one_at_a_time, 30)
    ask(one_at_a_time, 12, n=3, stream=True)
    ask(one_at_a_time, 1)
    seen = risen(before, figures(one_at_a_time))

    def total(name: str) -> float:
        return seen[f"{name}_seconds_sum"]

    parts = ("request_queue_time", "request_prefill_time", "request_decode_time")
    for name in (*parts, "request_inference_time", "e2e_request_latency", "time_to_first_token"):
        assert seen[f"{name}_seconds_count"] == 5
    queue, prefill, decode = map(total, parts)
    assert min(queue, prefill, decode) > 0
    assert total("request_inference_time") == pytest.approx(prefill + decode)
    assert total("time_to_first_token") == pytest.approx(queue + prefill)
    assert total("e2e_request_latency") == pytest.approx(queue + prefill + decode)
    assert total("inter_token_latency") == pytest.approx(decode)
    assert seen["inter_token_latency_seconds_count"] == 29 + 3 * 11 + 0
    assert seen["request_time_per_output_token_seconds_count"] == 4


def test_a_request_that_waits_for_room_is_queued(one_at_a_time: Served) -> None:
    """It comes after the other's first token, and finds room after the other's last."""
    before = figures(one_at_a_time)
    url = f"{one_at_a_time.url}/v1/completions"
    body = ASK | {"prompt": [5] * 150, "max_tokens": 60, "stream": True}
    with (
        ThreadPoolExecutor(1) as pool,
        httpx.stream("POST", url, json=body, timeout=120) as first,
    ):
        parts = first.iter_bytes()
        next(parts)
        second = pool.submit(ask, one_at_a_time, 2, prompt=[6] * 150)
        list(parts)
        second.result()
    seen = risen(before, figures(one_at_a_time))
    assert seen["request_queue_time_seconds_count"] == 2
    assert seen["num_preemptions_total"] == 0
    assert seen["request_queue_time_seconds_sum"] > seen["request_decode_time_seconds_sum"] / 4


def test_a_request_that_its_client_leaves_counts_as_aborted(one_at_a_time: Served) -> None:
    before = figures(one_at_a_time)
    body = ASK | {"max_tokens": 200, "stream": True}
    with httpx.stream(
        "POST", f"{one_at_a_time.url}/v1/completions", json=body, timeout=120
    ) as left:
        next(left.iter_bytes())
    seen = risen(before, figures(one_at_a_time))
    assert seen["request_success_totalabort"] == 1
    assert seen["e2e_request_latency_seconds_count"] == 0
