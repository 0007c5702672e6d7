"""Plain edges inside a trusted site: torch.distributed between hosts, with the same tokens."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.across import trusting_plan
from support.coordinator import SEED
from support.launched import Running, launched
from support.sniffer import capture
from support.ssh_hosts import SshHosts
from support.strangers import come_with_other_keys, listeners, ports, send_garbage

from hexplan.model import Model
from hexplan.plan import Plan
from hexplan.render.across.dry_run_view import dry_run_text
from hexplan_runtime.launch.dry_run import planned_starts
from hexplan_runtime.launch.pipeline import Pipeline
from hexplan_runtime.launch.places import Hosts
from hexplan_runtime.request import Request

NUM_TOKENS = 24
NUM_REQUESTS = 40


@pytest.fixture(scope="module")
def plan(hosts: SshHosts, llama_model: Model) -> Plan:
    return trusting_plan(llama_model, hosts.addresses)


@pytest.fixture(scope="module")
def trusting(hosts: SshHosts, plan: Plan, llama: Path) -> Iterator[Running]:
    with launched(hosts, plan, llama) as coordinator:
        yield Running(hosts, plan, coordinator)


def test_a_dry_run_says_which_edges_are_plain(llama_model: Model) -> None:
    plan = trusting_plan(llama_model, ["10.0.0.1", "10.0.0.2"])
    starts = planned_starts(plan, Hosts(first_port=29500), Path("/models/tiny"))
    text = dry_run_text(plan, starts)
    site = plan.cluster.hosts[0].site
    for address in ("10.0.0.1", "10.0.0.2"):
        for edge in ("s0 > s1", "s1 > s0"):
            line = f"  listens at {address}, a free port: data of edge {edge}, plain: site {site}"
            assert f"{line} is trusted\n" in text
    assert "edge entry > s0, encrypted" in text
    assert "data of edge entry" not in text


@pytest.mark.slow
def test_tokens_over_plain_edges_are_those_of_one_machine(
    trusting: Running, plan: Plan, llama: Path
) -> None:
    with Pipeline(plan, llama) as pipeline:
        found = pipeline.generate([Request((1, 2, 3), NUM_TOKENS)])
        expected = [event.token_id for event in found]
    assert trusting.coordinator.generate(NUM_TOKENS) == expected


@pytest.mark.slow
def test_all_listeners_of_plain_edges_are_at_planned_addresses(trusting: Running) -> None:
    network = trusting.hosts.network
    assert listeners(network, None) == set()
    for index in (0, 1):
        found = listeners(network, index)
        assert all(one.startswith(f"{network.address(index)}:") for one in found)
        assert len(found) == 2 + 2  # two ends that listen, and gloo at both plain edges


@pytest.mark.slow
def test_garbage_at_plain_edges_harms_no_request_under_way(trusting: Running) -> None:
    network, coordinator = trusting.hosts.network, trusting.coordinator
    expected = coordinator.generate(NUM_TOKENS)
    for _ in range(NUM_REQUESTS):
        coordinator.tell(f"{NUM_TOKENS} 1 2 3")
    for index in (0, 1):
        assert ports(network, index)
        send_garbage(network, index)
        come_with_other_keys(network, index)
    found = [coordinator.hear()["tokens"] for _ in range(NUM_REQUESTS)]
    assert found == [expected] * NUM_REQUESTS


@pytest.mark.slow
def test_what_plain_edges_carry_can_be_read_and_prompts_from_outside_cannot(
    trusting: Running, tmp_path: Path
) -> None:
    """It shows that captures of encrypted edges would show something if it were there."""
    prompt = list(range(200, 212))
    seen = []
    for index in (0, 1):
        frames = tmp_path / f"frames-{index}"
        with capture(trusting.hosts.network.space(index), frames):
            tokens = trusting.coordinator.generate(NUM_TOKENS, prompt)
        seen.append(frames.read_bytes())
    for frames_seen in seen:
        assert struct.pack("<q", SEED) in frames_seen
        assert all(struct.pack("<q", token) in frames_seen for token in tokens)
        assert struct.pack("<12q", *prompt) not in frames_seen
