"""Objectives, rates, promises, traces, prices and policies of a cluster.yaml."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from support.specs import spec_of, two_nodes

from hexplan.cluster import COORDINATOR
from hexplan.errors import InputError, SpecError
from hexplan.host import Spot
from hexplan.workload import Lengths, Slo

AZURE = """\
TIMESTAMP,ContextTokens,GeneratedTokens\r
2023-11-16 18:15:46.6805900,374,44\r
2023-11-16 18:15:50.9951690,396,109\r
2023-11-16 18:15:51.2222670,879,55"""
MOONCAKE = """\
{"timestamp": 0, "input_length": 6758, "output_length": 500, "hash_ids": [0, 1]}
{"timestamp": 300, "input_length": 7319, "output_length": 0, "hash_ids": [0, 14]}
"""
LENGTHS = "  prompt_tokens: {mean: 512, max: 1024}\n  output_tokens: 128\n"
PRICED = two_nodes("    nic: 25Gbps\n", "    nic: 25Gbps\n    price: 12.3 USD/h\n").replace(
    "    nic: 10Gbps\n",
    "    nic: 10Gbps\n    price: 0 USD/h\n    spot: {price: 0.5 USD/h, availability: 95%}\n",
)


def test_the_objective_is_balanced_unless_the_file_says_otherwise() -> None:
    assert spec_of(two_nodes()).objective == "balanced"
    asked = two_nodes("workload:\n", "objective: latency\nworkload:\n  request_rate: 300/min\n")
    spec = spec_of(asked)
    assert spec.objective == "latency"
    assert spec.workload.request_rate_per_s == 5.0


def test_the_scheduler_and_the_latency_factor_are_read_and_leave_the_hash_alone() -> None:
    plain = spec_of(two_nodes()).cluster
    stated = spec_of(two_nodes() + "limits: {policy: chunked, latency_factor: 2}\n").cluster
    other = spec_of(two_nodes() + "limits: {policy: whole, latency_factor: 1.5}\n").cluster
    assert (other.limits.policy, other.limits.latency_factor) == ("whole", Decimal("1.5"))
    assert stated.sha256 == plain.sha256 != other.sha256


def test_the_engine_is_read_and_leaves_the_hash_alone_unless_it_limits_plans() -> None:
    plain = spec_of(two_nodes()).cluster
    stated = spec_of(two_nodes() + "limits: {engine: hexplan}\n").cluster
    other = spec_of(two_nodes() + "limits: {engine: vllm}\n").cluster
    assert other.limits.engine == "vllm"
    assert stated.sha256 == plain.sha256 != other.sha256


@pytest.mark.parametrize(
    "line", ["engine: tgi", "policy: fastest", "latency_factor: 0.5", "latency_factor: 2x"]
)
def test_an_unknown_engine_or_scheduler_or_a_factor_below_one_is_refused(line: str) -> None:
    with pytest.raises(InputError, match=line.partition(":")[0]):
        spec_of(two_nodes() + f"limits: {{{line}}}\n")


def test_a_promise_is_read_in_seconds_with_its_share() -> None:
    text = two_nodes("workload:\n", "workload:\n  slo: {ttft: 2s, tpot: 100ms, attainment: 95%}\n")
    promise = Slo(ttft_s=Decimal(2), tpot_s=Decimal("0.1"), attainment=Decimal("0.95"))
    assert spec_of(text).workload.slo == promise


@pytest.mark.parametrize(
    ("name", "content", "prompt", "output"),
    [
        ("azure.csv", AZURE, Lengths(mean=550, max=879), Lengths(mean=69, max=109)),
        ("m.jsonl", MOONCAKE, Lengths(mean=7038, max=7319), Lengths(mean=250, max=500)),
    ],
)
def test_lengths_are_read_from_a_trace(
    tmp_path: Path, name: str, content: str, prompt: Lengths, output: Lengths
) -> None:
    (tmp_path / name).write_bytes(content.encode())
    text = two_nodes(LENGTHS, f"  trace: {name}\n").replace("llama-2-7b", "llama-3.1-8b")
    workload = spec_of(text, tmp_path).workload
    assert workload.prompt_tokens == prompt
    assert workload.output_tokens == output
    assert workload.trace == name


@pytest.mark.parametrize(
    ("content", "phrase"),
    [
        ("", "t:1: found no columns, needed a CSV with the columns `ContextTokens`"),
        ("a,b\n1,2\n", "t:1: found other columns, needed a CSV with the columns `ContextTokens`"),
        ("ContextTokens,GeneratedTokens\n", "t: found no request"),
        ("ContextTokens,GeneratedTokens\n5,x\n", "t:2: GeneratedTokens: found 'x', needed a count"),
        ("ContextTokens,GeneratedTokens\n5\n", "t:2: GeneratedTokens: found nothing"),
        ("ContextTokens,GeneratedTokens\n-5,1\n", "t:2: ContextTokens: found '-5'"),
        ("ContextTokens,GeneratedTokens\n5,999999999999\n", "needed a count of tokens, at most"),
        ('{"input_length": 5}\n', "t:1: output_length: found nothing"),
        ('{"input_length": 5, "output_length": 1}\n{', "t:2: not JSON"),
        ('{"input_length": 5, "output_length": 1}\n[]', "t:2: found a list, needed one object"),
        ('{"input_length": true, "output_length": 1}', "t:1: input_length: found true"),
    ],
)
def test_a_wrong_trace_is_refused_with_its_line(tmp_path: Path, content: str, phrase: str) -> None:
    (tmp_path / "t").write_text(content)
    with pytest.raises(SpecError) as caught:
        spec_of(two_nodes(LENGTHS, "  trace: t\n"), tmp_path)
    assert phrase in caught.value.message


def test_a_missing_trace_is_reported(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read it"):
        spec_of(two_nodes(LENGTHS, "  trace: nowhere.csv\n"), tmp_path)


def test_prices_and_spot_offers_are_read_exactly() -> None:
    big, small = spec_of(PRICED).cluster.hosts
    assert big.price_usd_per_h == Decimal("12.3")
    assert big.rent_usd_per_h == Decimal("12.3")
    assert big.presence == 1
    assert small.price_usd_per_h == 0
    assert small.spot == Spot(price_usd_per_h=Decimal("0.5"), availability=Decimal("0.95"))
    assert small.presence == 1
    taken = small.model_copy(update={"spot": small.spot.model_copy(update={"is_taken": True})})
    assert (taken.rent_usd_per_h, taken.presence) == (Decimal("0.5"), Decimal("0.95"))


@pytest.mark.parametrize(
    ("allow", "between_hosts", "to_the_coordinator"),
    [("all", True, True), ("tokens", False, True), ("none", False, False)],
)
def test_a_policy_says_what_may_pass(
    allow: str, between_hosts: bool, to_the_coordinator: bool
) -> None:
    rules = "".join(
        f"  - {{between: [{ends}], bandwidth: 1Gbps, latency: 1ms, allow: {allow}}}\n"
        for ends in ("big, small", "coordinator, big")
    )
    cluster = spec_of(two_nodes() + rules).cluster
    assert (cluster.link("big", "small") is not None) == between_hosts
    assert (cluster.link("small", "big") is not None) == between_hosts
    assert (cluster.link(COORDINATOR, "big") is not None) == to_the_coordinator
    assert cluster.link("small", COORDINATOR) is not None


def test_a_changed_copy_of_a_cluster_looks_its_own_links_up() -> None:
    cluster = spec_of(two_nodes()).cluster
    assert cluster.link("big", "small") is not None
    assert cluster.model_copy(update={"links": ()}).link("big", "small") is None
    assert "small" not in cluster.model_copy(update={"hosts": cluster.hosts[:1]}).host_by_name
