"""What clients ask about the model and the plan, against transformers' own tokenizer."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import httpx
import pytest
from jsonschema import Draft202012Validator
from prometheus_client.parser import text_string_to_metric_families
from support.serving import TEMPLATE, Served
from transformers import AutoTokenizer

TEXT = "Emma Woodhouse, handsome, clever, and rich"


@pytest.fixture(scope="module")
def client(austen_server: Served) -> Iterator[httpx.Client]:
    with austen_server.client() as found:
        yield found


def samples(client: httpx.Client) -> dict[str, float]:
    """Return the figures of /metrics, each with its labels in its name."""
    return {
        sample.name
        + "".join(f" {value}" for _, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(client.get("/metrics").text)
        for sample in family.samples
    }


def test_tokens_are_those_of_transformers_and_come_back(client: httpx.Client, austen: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(austen)
    found = client.post("/tokenize", json={"prompt": TEXT, "return_token_strs": True}).json()
    assert found["tokens"] == tokenizer(TEXT).input_ids
    assert found["count"] == len(found["tokens"])
    assert found["max_model_len"] == 512
    assert found["token_strs"] == tokenizer.convert_ids_to_tokens(found["tokens"])
    back = client.post("/detokenize", json={"tokens": found["tokens"]}).json()
    assert back["prompt"] == tokenizer.decode(found["tokens"])


def test_a_chat_can_be_tokenized(client: httpx.Client) -> None:
    chat = [{"role": "user", "content": TEXT}]
    found = client.post("/tokenize", json={"messages": chat}).json()
    plain = client.post("/tokenize", json={"prompt": TEXT + "\n"}).json()
    assert found["tokens"] == plain["tokens"]


def test_the_tokenizer_tells_its_special_tokens(client: httpx.Client) -> None:
    found = client.get("/tokenizer_info").json()
    assert found["eos_token"] == "</s>"
    assert found["chat_template"] == TEMPLATE


def test_health_and_version_are_told(client: httpx.Client) -> None:
    assert client.get("/health").status_code == 200
    assert client.get("/version").json() == {"version": version("hexplan")}
    assert client.get("/readyz").json() == {"ready": True, "obstacles": []}


def test_metrics_count_what_was_asked_for(client: httpx.Client) -> None:
    before = samples(client)
    ask = {"prompt": "Emma was", "max_tokens": 7, "temperature": 0, "n": 2}
    usage = client.post("/v1/completions", json=ask).json()["usage"]
    after = samples(client)

    def grown(name: str) -> float:
        return after[name] - before.get(name, 0)

    for prefix in ("hexplan_", "vllm:"):
        assert grown(f"{prefix}generation_tokens_total austen-3m") == 14
        assert grown(f"{prefix}prompt_tokens_total austen-3m") == 2 * usage["prompt_tokens"]
        assert grown(f"{prefix}request_success_total length austen-3m") == 2
        assert grown(f"{prefix}time_to_first_token_seconds_count austen-3m") == 2
        assert grown(f"{prefix}inter_token_latency_seconds_count austen-3m") == 12
        assert after[f"{prefix}num_requests_waiting austen-3m"] == 0
    # The last token of each choice is not sent in again.
    assert grown("hexplan_edge_tokens_total s0 s1") == 2 * (usage["prompt_tokens"] + 6)
    assert after["hexplan_route_weight 0"] == 1


def test_the_plan_tells_what_it_predicts_and_what_is_seen(client: httpx.Client) -> None:
    before = client.get("/plan").json()
    client.post("/v1/completions", json={"prompt": [5, 6, 7], "max_tokens": 4, "ignore_eos": True})
    after = client.get("/plan").json()
    assert [stage["layers"] for stage in after["stages"]] == [[0, 3], [3, 6]]
    assert [stage["devices"] for stage in after["stages"]] == [[0, 1], [2]]
    assert [(edge["from"], edge["to"]) for edge in after["edges"]] == [
        ("entry", "s0"),
        ("s0", "s1"),
        ("s1", "exit"),
    ]
    for old, new in zip(before["edges"], after["edges"], strict=True):
        assert new["tokens"] - old["tokens"] == 3 + 4 - 1
        assert new["share"] == 1
        assert new["predicted_tokens_per_s"] > 0
    (route,) = after["routes"]
    assert route["hops"] == [{"stage": "s0", "enter_layer": 0}, {"stage": "s1", "enter_layer": 3}]


def test_the_page_loads_nothing_from_elsewhere(client: httpx.Client) -> None:
    answer = client.get("/")
    assert answer.headers["content-type"].startswith("text/html")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    links = answer.text.replace("http://www.w3.org/2000/svg", "")
    assert "http" not in links


def test_the_description_names_every_path_and_is_sound(client: httpx.Client) -> None:
    found = client.get("/openapi.json").json()
    for path, methods in found["paths"].items():
        for method in methods:
            assert client.request(method, path).status_code in (200, 400), path
    for schema in found["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    taken = found["components"]["schemas"]["CompletionBody"]["properties"]
    assert {"prompt", "max_tokens", "stop", "echo", "stream_options"} <= set(taken)
