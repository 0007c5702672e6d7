"""`limits.join`: sets of hosts that a plan may join."""

from __future__ import annotations

import pytest
from support.specs import spec_of, two_nodes

from hexplan.errors import SpecError
from hexplan.spec import Spec

FIVE = """
version: 1
name: five
model: llama-2-7b
workload: {prompt_tokens: 512, output_tokens: 128}
hosts:
  - {name: "a[0-4]", site: lab, devices: L4, nic: 10Gbps}
  - {name: b, site: lab, devices: T4, nic: 10Gbps}
  - {name: c, site: hall, devices: T4, nic: 10Gbps}
  - {name: d, site: hall, devices: 2 x T4, interconnect: pcie3, nic: 10Gbps}
coordinator: {site: lab, nic: 10Gbps}
links:
  - {within: lab, bandwidth: 10Gbps, latency: 0.1ms}
  - {within: hall, bandwidth: 10Gbps, latency: 0.1ms}
  - {between: [lab, hall], bandwidth: 1Gbps, latency: 5ms}
"""


def joining(sets: str, text: str = FIVE) -> Spec:
    return spec_of(f"{text}limits: {{join: {sets}}}\n")


def test_sets_are_lists_of_hosts_or_of_ranges_of_hosts() -> None:
    spec = joining('[["a[0-2]"], [a3, b], [c, d]]')
    assert spec.cluster.limits.join == (("a0", "a1", "a2"), ("a3", "b"), ("c", "d"))


def test_without_the_limit_no_hosts_are_joined() -> None:
    assert spec_of(FIVE).cluster.limits.join == ()


def test_any_means_identical_hosts_of_a_large_site_and_all_sets_of_a_small_one() -> None:
    pairs, four = [("a0", "a1"), ("a2", "a3")], [("a0", "a1", "a2", "a3")]
    assert joining("any").cluster.limits.join == (*pairs, *four, ("c", "d"))


def test_any_passes_over_hosts_that_cannot_be_joined() -> None:
    pinned = f"{FIVE}pin:\n  - {{exclude: a0}}\n  - {{host: c, layers: [0, 4]}}\n"
    assert joining("any", pinned).cluster.limits.join == (("a2", "a3"),)


@pytest.mark.parametrize(
    ("sets", "problem"),
    [
        ("[[a0, a9]]", "limits.join[0]: found 'a9', needed a host"),
        ("[[a0, a1], [a2]]", "limits.join[1]: found a2, needed two or more hosts, each once"),
        ("[[a0, a0]]", "limits.join[0]: found a0, a0, needed two or more hosts, each once"),
        (
            "[[a0, c]]",
            "found a0, c, which cannot be joined: they are in hall and lab, not one site",
        ),
        ("some", "needed"),
        ("[a0, a1]", "needed"),
    ],
)
def test_a_set_that_cannot_be_joined_is_refused(sets: str, problem: str) -> None:
    with pytest.raises(SpecError) as caught:
        joining(sets)
    assert problem in str(caught.value)


def test_more_devices_than_kv_heads_are_refused() -> None:
    text = FIVE.replace("llama-2-7b", "llama-3-8b").replace("a[0-4]", "a[0-8]")
    with pytest.raises(SpecError, match="found 9 devices together, needed at most 8, as many as"):
        joining('[["a[0-8]"]]', text)


def test_a_stage_over_two_hosts_is_refused_with_the_way_to_join_them() -> None:
    with pytest.raises(SpecError) as caught:
        spec_of(two_nodes(new="pin: [{same_stage: [big/0, small/0]}]\n"))
    assert "limits: {join: [[big, small]]}" in str(caught.value.hint)
