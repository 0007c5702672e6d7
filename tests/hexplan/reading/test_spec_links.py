from __future__ import annotations

from decimal import Decimal

from support.specs import spec_of, two_nodes

from hexplan.cluster import (
    COORDINATOR,
    Link,
)

LINK_END = "    latency: 0.1ms\n"


def link(source: str, target: str, bandwidth: int = 1_250_000_000) -> Link:
    return Link(
        source=source,
        target=target,
        bandwidth_bytes_per_s=bandwidth,
        latency_s=Decimal("0.0001"),
    )


def links_of(rule: str, hosts: str = "name: small") -> tuple[Link, ...]:
    """Return what a rule beside `within: lab` stands for."""
    rule = f"  - {{{rule}, bandwidth: 10Gbps, latency: 0.1ms}}\n"
    return spec_of(two_nodes("name: small", hosts) + rule).cluster.links[1:]


def test_between_is_a_rule_in_each_direction() -> None:
    assert links_of("between: [big, small]") == (link("big", "small"), link("small", "big"))


def test_from_and_to_is_a_rule_one_way() -> None:
    assert links_of("from: big, to: lab") == (link("big", "lab"),)


def test_the_coordinator_is_an_end_of_its_own() -> None:
    assert links_of("between: [coordinator, big]") == (
        link(COORDINATOR, "big"),
        link("big", COORDINATOR),
    )


def test_a_range_of_hosts_is_as_many_rules() -> None:
    assert links_of('from: big, to: "a-[0-1]"', "name: a-[0-1]") == (
        link("big", "a-0"),
        link("big", "a-1"),
    )


def test_a_range_with_itself_joins_all_its_pairs_once_each_way() -> None:
    links = links_of('between: ["a-[0-2]", "a-[0-2]"]', "name: a-[0-2]")
    names = ["a-0", "a-1", "a-2"]
    assert sorted((rule.source, rule.target) for rule in links) == [
        (a, b) for a in names for b in names if a != b
    ]


def test_between_a_site_and_itself_means_within() -> None:
    text = two_nodes("within: lab", "between: [lab, lab]")
    assert spec_of(text).cluster.links == (link("lab", "lab"),)


def test_a_trunk_is_kept_in_bytes() -> None:
    text = two_nodes(LINK_END, f"{LINK_END}    trunk: 80Gbps\n")
    assert spec_of(text).cluster.links[0].trunk_bytes_per_s == 10**10


def test_a_site_without_hosts_can_be_linked_if_the_coordinator_is_there() -> None:
    text = two_nodes("coordinator: {site: lab,", "coordinator: {site: office,")
    rule = "  - {between: [office, lab], bandwidth: 10Gbps, latency: 0.1ms}\n"
    assert spec_of(text + rule).cluster.link(COORDINATOR, "big") == link("office", "lab")


def test_hosts_that_no_rule_names_are_unconnected() -> None:
    text = two_nodes("within: lab", "between: [coordinator, big]")
    assert spec_of(text).cluster.link("big", "small") is None


def test_trusted_sites_are_named_once_and_stand_in_the_plan_s_cluster() -> None:
    text = two_nodes("name: small", "name: small")
    plain, trusting = spec_of(text).cluster, spec_of(f"{text}trusted: [lab, lab]\n").cluster
    assert trusting.trusted_sites == ("lab",)
    assert "trusted_sites" not in plain.model_dump()  # hashes of other clusters stay as they are
    assert trusting.sha256 != plain.sha256
    assert trusting.is_trusted("big", "small")
    assert not trusting.is_trusted(COORDINATOR, "big")
    assert not plain.is_trusted("big", "small")


def test_a_link_may_compress_activations_and_a_cluster_without_one_keeps_its_hash() -> None:
    rule = "from: big, to: lab"
    plain, compressed = links_of(rule)[0], links_of(f"{rule}, compress: int8")[0]
    assert compressed == plain.model_copy(update={"compress": "int8"})
    assert "compress" not in plain.model_dump_json()
