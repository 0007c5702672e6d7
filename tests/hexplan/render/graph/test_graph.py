"""Pictures of plans: every stage, edge and bottleneck is in each of them, whatever the names."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from xml.etree import ElementTree as Xml

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.plans import mixed_stage_plan, profiled_plan, two_hosts_plan

from hexplan.plan import Plan
from hexplan.render import words
from hexplan.render.graph import dot, mermaid, svg

PLANS = (two_hosts_plan(), profiled_plan(), mixed_stage_plan())
HOSTILE = '"]; click n0 "javascript:x" <b>&\\'
SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.cluster.name)
def test_a_drawing_has_a_bar_for_each_stage_and_a_line_for_each_edge(plan: Plan) -> None:
    root = Xml.fromstring(svg(plan))
    bars, lines = root.findall(f"{SVG}rect"), root.findall(f"{SVG}path")
    assert (len(bars), len(lines)) == (len(plan.stages), len(plan.edges))
    titles = {bar.findtext(f"{SVG}title", "").split(" ")[0] for bar in bars}
    assert titles == {stage.id for stage in plan.stages}
    red = {bar.findtext(f"{SVG}title", "").split(" ")[0] for bar in bars if _is_red(bar)}
    cut = {term.constraint for term in plan.certificate.cut}
    assert red == {stage.id for stage in plan.stages if f"stage:{stage.id}" in cut}


def _is_red(bar: Xml.Element) -> bool:
    return bar.get("fill") == "#c0392b"


def test_bars_are_as_long_as_their_layers_and_in_their_order() -> None:
    plan = two_hosts_plan()
    found = {}
    for bar in Xml.fromstring(svg(plan)).findall(f"{SVG}rect"):
        left, width = float(bar.get("x", "")), float(bar.get("width", ""))
        found[bar.findtext(f"{SVG}title", "").split(" ")[0]] = (left, left + width)
    for one in plan.stages:
        for other in plan.stages:
            if one.layers[1] <= other.layers[0]:
                assert found[one.id][1] <= found[other.id][0]


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.cluster.name)
def test_texts_have_a_line_for_each_edge_with_its_share(plan: Plan) -> None:
    assert len(re.findall(r"-->\|", mermaid(plan))) == len(plan.edges)
    assert len(re.findall(r'" -> "', dot(plan))) == len(plan.edges)
    assert mermaid(plan).count("linkStyle") == len(plan.edges)
    for text in (mermaid(plan), dot(plan)):
        shares = [edge.tokens_per_s / plan.certificate.flow_tokens_per_s for edge in plan.edges]
        for share in shares:
            assert f'"{words.percent(share)}"' in text


@pytest.mark.parametrize("draw", [svg, mermaid, dot])
def test_equal_plans_give_equal_bytes(draw: Callable[[Plan], str]) -> None:
    assert draw(two_hosts_plan()) == draw(two_hosts_plan())


def named(host: str) -> Plan:
    """Return a plan whose small host has another name."""
    text = json.dumps(host)
    return Plan.model_validate_json(
        two_hosts_plan().model_dump_json(by_alias=True).replace('"small"', text)
    )


@given(st.text(max_size=12))
def test_no_name_of_a_host_breaks_out_of_its_label(name: str) -> None:
    _is_whole(named(f"x{name}"))


def test_markup_in_a_name_is_text() -> None:
    plan = named(HOSTILE)
    _is_whole(plan)
    labels = [text.text or "" for text in Xml.fromstring(svg(plan)).iter(f"{SVG}text")]
    assert any(label.startswith('"]; click') for label in labels)


def _is_whole(plan: Plan) -> None:
    Xml.fromstring(svg(plan))
    for line in mermaid(plan).splitlines():
        assert line.count('"') % 2 == 0
        assert "click" not in re.sub(r'"[^"]*"', "", line)
    for line in dot(plan).splitlines():
        outside = re.sub(r'"(\\.|[^"\\])*"', "", line)
        assert '"' not in outside
