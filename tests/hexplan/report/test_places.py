"""Violations are placed at the line that a person would change."""

from __future__ import annotations

import pytest
from support.plans import two_hosts_plan

from hexplan.check import Violation
from hexplan.plan_file import plan_json
from hexplan.report import PlaceFinder

PLAN = two_hosts_plan()
TEXT = plan_json(PLAN)
LINES = {"host big": 4, "host small": 9, "links": 20, "workload": 2}


def violation(where: str) -> Violation:
    return Violation("HEX301", "memory-overflow", where, "too much")


@pytest.mark.parametrize(
    ("where", "line"),
    [
        ("stage s0", 4),
        ("stage s0, device 1", 4),
        ("edge s2>exit", 9),
        ("host small", 9),
        ("host gone", 1),
        ("cluster, links", 20),
        ("workload, prompt", 2),
        ("certificate, cut", 1),
        ("", 1),
    ],
)
def test_with_a_spec_it_is_the_line_of_the_host_or_the_field(where: str, line: int) -> None:
    place = PlaceFinder(PLAN, "p.json", TEXT, "c.yaml", LINES).place(violation(where))
    assert (place.file, place.line) == ("c.yaml", line)


@pytest.mark.parametrize(
    ("where", "text"),
    [
        ("stage s1, device 0", '"id": "s1"'),
        ("edge s2>exit", '"id": "s2"'),
        ("host small", '"name": "small"'),
    ],
)
def test_without_one_it_is_the_line_of_the_plan(where: str, text: str) -> None:
    place = PlaceFinder(PLAN, "p.json", TEXT).place(violation(where))
    assert place.file == "p.json"
    assert text in TEXT.splitlines()[place.line - 1]
