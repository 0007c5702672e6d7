"""Joined hosts: their figures by hand, and how they come apart again."""

from __future__ import annotations

from decimal import Decimal

import pytest
from support.clusters import host, spec_of, tiny_model

from hexplan.cluster import Cluster, Exclusion, GroupPin, LayerPin, Link
from hexplan.host import Host, Interconnect
from hexplan.joining import joined, split, why_not_joined

SLOW = Decimal("0.0002")
WIRE = Interconnect(bandwidth_bytes_per_s=500, latency_s=Decimal("0.00001"))


def link(source: str, target: str, bandwidth: int = 800, **changes: object) -> Link:
    plain = Link(source=source, target=target, bandwidth_bytes_per_s=bandwidth, latency_s=SLOW)
    return plain.model_copy(update=changes)


def a_host(name: str, devices: int, nic: tuple[int, int], **changes: object) -> Host:
    cards = {"nic_in_bytes_per_s": nic[0], "nic_out_bytes_per_s": nic[1]}
    wire = {"interconnect": WIRE if devices > 1 else None}
    return host(name, ["d"] * devices).model_copy(update=cards | wire | changes)


def a_cluster(**changes: object) -> Cluster:
    """Return hosts a, b and c of 1, 2 and 1 devices."""
    hosts = [a_host("a", 1, (1000, 2000)), a_host("b", 2, (3000, 900)), a_host("c", 1, (9, 9))]
    links = (link("a", "b", 700), link("b", "c", 400), link("here", "here"))
    cluster = spec_of(tiny_model(4), hosts, links=links).cluster
    return cluster.model_copy(update=changes)


def test_a_ring_is_as_fast_as_its_slowest_part_and_cards_keep_a_tenth_for_hops() -> None:
    whole = joined(a_cluster(), ("a", "b")).hosts[0]
    assert (whole.name, whole.devices, whole.label) == ("a", ("d",) * 3, "a + b")
    # Of 700 from a to b, 800 back, 500 inside b, and nine tenths of what the cards have.
    assert whole.interconnect == Interconnect(
        bandwidth_bytes_per_s=500, latency_s=SLOW, crosses_hosts=True
    )
    assert (whole.nic_in_bytes_per_s, whole.nic_out_bytes_per_s) == (100, 200)
    assert whole.slots == (("a", 0), ("b", 0), ("b", 1))


def test_a_slow_card_sets_the_pace_and_no_figure_is_ever_nothing() -> None:
    whole = joined(a_cluster(), ("c", "b")).hosts[1]
    assert whole.interconnect is not None
    assert whole.interconnect.bandwidth_bytes_per_s == 8
    assert (whole.nic_in_bytes_per_s, whole.nic_out_bytes_per_s) == (1, 1)


def test_hosts_are_rented_together_and_their_devices_form_one_stage() -> None:
    prices = {"a": Decimal("1.5"), "b": Decimal(2), "c": None}
    hosts = tuple(
        host.model_copy(update={"price_usd_per_h": prices[host.name]}) for host in a_cluster().hosts
    )
    cluster = a_cluster(hosts=hosts, exclusions=(Exclusion(host="b", device=0),))
    both = joined(cluster, ("a", "b"))
    assert both.hosts[0].price_usd_per_h == Decimal("3.5")
    assert both.exclusions == (Exclusion(host="a", device=1),)
    assert both.group_pins == (GroupPin(host="a", devices=(0, 2)),)
    assert joined(cluster, ("b", "c")).hosts[1].price_usd_per_h is None


@pytest.mark.parametrize("names", [("a", "b"), ("b", "c"), ("a", "b", "c")])
def test_joined_hosts_come_apart_as_they_were(names: tuple[str, ...]) -> None:
    cluster = a_cluster(exclusions=(Exclusion(host="b", device=1),))
    both = joined(cluster, names)
    # What was looked up of a host before plays no part.
    assert sum(len(host.slots) for host in both.hosts) == 4
    again = split(both, [names[0]])
    assert again == cluster
    assert again.sha256 == cluster.sha256


def test_a_cluster_without_joined_hosts_says_nothing_of_them() -> None:
    assert not {"parts", "join", "crosses_hosts"} & set(a_cluster().model_dump_json().split('"'))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"layer_pins": (LayerPin(host="b", layers=(0, 1)),)}, "b is pinned"),
        ({"group_pins": (GroupPin(host="b", devices=(0, 1)),)}, "b is pinned"),
        ({"exclusions": (Exclusion(host="a"),)}, "a is excluded"),
        ({"exclusions": tuple(Exclusion(host="b", device=i) for i in (0, 1))}, "b is excluded"),
        ({"links": (link("a", "b"),)}, "no link rule lets activations pass from b to a"),
        (
            {"links": (link("here", "here", allow="tokens"),)},
            "no link rule lets activations pass from a to b",
        ),
        (
            {"links": (link("here", "here", trunk_bytes_per_s=10**6),)},
            "a and b share their link, a trunk, with other hosts",
        ),
        (
            {"hosts": (a_host("a", 1, (9, 9)), a_host("b", 2, (9, 9), interconnect=None))},
            "b has no interconnect",
        ),
        (
            {"hosts": (a_host("a", 1, (9, 9)), a_host("b", 2, (9, 9), site="there"))},
            "they are in here and there, not one site",
        ),
    ],
)
def test_what_stands_against_joining_hosts_is_said(changes: dict[str, object], why: str) -> None:
    assert why_not_joined(a_cluster(), ("a", "b")) == ""
    assert why_not_joined(a_cluster(**changes), ("a", "b")) == why


def test_hosts_are_joined_once() -> None:
    both = joined(a_cluster(), ("a", "b"))
    assert why_not_joined(both, ("a", "c")) == "a is already joined"
