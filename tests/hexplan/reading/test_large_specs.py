"""Clusters with rules for most pairs of hosts are read whole, and errors name their line."""

from __future__ import annotations

from itertools import combinations, islice

import pytest
from support.specs import spec_of, two_nodes

from hexplan.errors import SpecError
from hexplan.files.yaml_reader import MAX_VALUES, parse_yaml
from hexplan.reading.links import MAX_LINKS

NUM_HOSTS, NUM_RULES = 160, 12_000
RULES = [
    f"  - {{between: [h{i:03}, h{j:03}], bandwidth: {1 + (i + j) % 9}Gbps, latency: 0.2ms}}"
    for i, j in islice(combinations(range(NUM_HOSTS), 2), NUM_RULES)
]
HOSTS = f'hosts:\n  - {{name: "h[000-{NUM_HOSTS - 1}]", site: lab, devices: L4, nic: 10Gbps}}\n'


def cluster(rules: list[str]) -> str:
    return two_nodes("hosts:\n", HOSTS) + "\n".join(rules) + "\n"


def test_twelve_thousand_rules_for_pairs_are_read_and_found_again() -> None:
    found = spec_of(cluster(RULES)).cluster
    assert len(found.links) == 2 * NUM_RULES + 1
    for i, j in ((0, 1), (3, 77), (70, 71)):
        for ends in ((i, j), (j, i)):
            link = found.link(*(f"h{end:03}" for end in ends))
            assert link is not None
            assert link.bandwidth_bytes_per_s == (1 + (i + j) % 9) * 10**9 // 8
    unnamed = found.link("h158", "h159")
    assert unnamed is not None
    assert unnamed.source == "lab"


def test_an_error_in_a_late_rule_names_its_line() -> None:
    rules = list(RULES)
    rules[9_000] = rules[9_000].replace("bandwidth", "bandwith")
    line = cluster(rules).split("\n").index(rules[9_000]) + 1
    with pytest.raises(SpecError) as caught:
        spec_of(cluster(rules))
    assert caught.value.where.startswith(f"cluster.yaml:{line}")


def test_more_pairs_than_a_plan_has_room_for_are_refused() -> None:
    names = [f'"h[000-{NUM_HOSTS - 1}]"', '"h[000-399]"', '"h[400-799]"']
    text = two_nodes("hosts:\n", HOSTS.replace(names[0], '"h[000-799]"'))
    rule = f"  - {{between: [{names[1]}, {names[2]}], bandwidth: 1Gbps, latency: 1ms}}\n"
    with pytest.raises(SpecError, match=f"at most {MAX_LINKS}"):
        spec_of(text + rule)


@pytest.mark.slow
def test_more_values_than_the_limit_are_refused() -> None:
    text = "a: [" + "1," * MAX_VALUES + "]\n"
    with pytest.raises(SpecError, match=f"more than {MAX_VALUES} values"):
        parse_yaml(text, "large.yaml")
