"""What the README shows works as shown."""

from __future__ import annotations

import re
from pathlib import Path

from support.shell import program

from hexplan.check import check_plan
from hexplan.reading import parse_spec
from hexplan_solver import solve

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_spec_in_the_readme_solves() -> None:
    found = re.search(r"```yaml\n(.*?)```", README, re.DOTALL)
    assert found is not None
    plan = solve(parse_spec(found[1], ROOT / "cluster.yaml"))
    assert check_plan(plan) == ()


def test_the_plan_in_the_readme_is_the_one_that_the_demo_makes(tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    # A few seconds are enough, but a busy machine may need more than the default limit.
    program(
        "solve", ROOT / "cluster_specs" / "laptop.yaml", "-q", "-o", plan, "--time-limit", "240s"
    )
    shown = program("show", plan, COLUMNS="100").stdout
    quoted = README.partition("$ hexplan show plan.json\n")[2].partition("\n...\n")[0]
    assert quoted
    assert shown.startswith(quoted)
    assert program("check", plan).stdout in README


def test_every_page_that_the_readme_links_to_is_there() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
