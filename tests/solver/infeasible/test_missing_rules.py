"""The rule that a hint adds joins hosts that nothing joined before."""

from __future__ import annotations

import re

import pytest
from support.specs import spec_of

from hexplan.errors import InfeasibleError
from hexplan_solver import SolveOptions, solve
from hexplan_solver.infeasible.missing_rules import NO_RULES, missing_rule_hint

SPEC = """\
version: 1
name: apart
model: llama-3.1-70b
workload: {prompt_tokens: 1024, output_tokens: 256}
hosts:
  - {name: near, site: dc, devices: A100-80GB, nic: 10Gbps}
  - {name: far, site: SITE, devices: A100-80GB, nic: 10Gbps}
coordinator: {site: dc, nic: 10Gbps}
limits: {time: 5s}
links:
"""
FIGURES = "bandwidth: 10Gbps, latency: 1ms"
WITHIN, DOOR = f"within: dc, {FIGURES}", f"between: [coordinator, home], {FIGURES}"
# The site of the second host, the rules that are there, and the one to add.
CASES = [
    ("home", [WITHIN, DOOR], f"between: [dc, home], {FIGURES}"),
    ("home", [WITHIN, DOOR, f"from: home, to: dc, {FIGURES}"], f"from: dc, to: home, {FIGURES}"),
    (
        "dc",
        [f"between: [coordinator, {n}], {FIGURES}" for n in ("near", "far")],
        f"between: [near, far], {FIGURES}",
    ),
    ("dc", [f"between: [coordinator, dc], {FIGURES}"], f"within: dc, {FIGURES}"),
]


def text_of(site: str, rules: list[str]) -> str:
    return SPEC.replace("SITE", site) + "".join(f"  - {{{rule}}}\n" for rule in rules)


@pytest.mark.parametrize(("site", "rules", "missing"), CASES)
def test_a_missing_rule_is_named_as_a_line_of_yaml(
    site: str, rules: list[str], missing: str
) -> None:
    hint = missing_rule_hint(spec_of(text_of(site, rules)).cluster)
    assert hint == f"{NO_RULES}; add a rule with your figures, such as `- {{{missing}}}`"


@pytest.mark.parametrize(("site", "rules", "missing"), CASES)
def test_with_the_rules_of_the_hints_every_pair_is_joined(
    site: str, rules: list[str], missing: str
) -> None:
    rules = list(rules)
    for _ in range(4):
        cluster = spec_of(text_of(site, rules)).cluster
        found = re.search(r"`- \{(.*)\}`$", missing_rule_hint(cluster))
        if found is None:
            break
        rules.append(found[1])
    ends = ["coordinator", "near", "far"]
    assert all(cluster.rule(a, b) for a in ends for b in ends if a != b)


def test_a_solve_that_fails_for_want_of_a_rule_names_it() -> None:
    site, rules, missing = CASES[0]
    with pytest.raises(InfeasibleError, match="the links do not join hosts") as caught:
        solve(spec_of(text_of(site, rules)), SolveOptions(time_limit_s=5))
    assert f"`- {{{missing}}}`" in str(caught.value.hint)
