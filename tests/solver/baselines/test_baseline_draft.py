"""Every method ends as a plan that holds every rule, and says who made it."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from support.clusters import host, link, profile, spec_of, tiny_model

from hexplan.check import check_plan
from hexplan.cli.solve import Method
from hexplan.cluster import GroupPin, LayerPin
from hexplan.errors import InputError, LimitReached
from hexplan.plan import Plan
from hexplan.reading import read_spec
from hexplan.spec import Spec
from hexplan_solver import METHODS, SolveOptions, solve
from hexplan_solver.baselines.methods import BASELINES

SPECS = Path(__file__).parents[3] / "cluster_specs"
HEURISTICS = [name for name in BASELINES if name != "helix-milp"]


def blank(plan: Plan) -> Plan:
    return plan.model_copy(update={"solve": plan.solve.model_copy(update={"wall_s": 0.0})})


def pair(**changes: object) -> Spec:
    hosts = [host("h0", ["d0", "d0"]), host("h1", ["d0"])]
    return spec_of(tiny_model(4), hosts, profiles=[profile("d0", [90, 40, 30, 20])], **changes)


def flow_of(spec: Spec, method: str) -> Decimal:
    plan = solve(spec, SolveOptions(method=method))
    assert check_plan(plan) == ()
    return plan.certificate.flow_tokens_per_s


@pytest.mark.parametrize("spec", ["helix-abl10-llama30b", "home-lab", "two-datacentres"])
@pytest.mark.parametrize("method", HEURISTICS)
def test_a_plan_holds_every_rule_and_comes_again(spec: str, method: str) -> None:
    cluster = read_spec(SPECS / f"{spec}.yaml")
    plan, again = (solve(cluster, SolveOptions(seed=3, method=method)) for _ in range(2))
    assert check_plan(plan) == ()
    assert plan.solve.method == method
    assert blank(plan) == blank(again)
    assert 0 < plan.certificate.flow_tokens_per_s <= plan.certificate.bound_tokens_per_s


@pytest.mark.slow
def test_hexplan_is_no_worse_than_any_method_it_is_compared_with() -> None:
    spec = read_spec(SPECS / "helix-abl10-llama30b.yaml")
    ours = solve(spec)
    assert ours.solve.method == "hexplan"
    assert check_plan(ours) == ()
    flows = [flow_of(spec, method) for method in HEURISTICS]
    assert ours.certificate.flow_tokens_per_s >= max(flows)


def test_the_command_line_knows_every_method() -> None:
    assert tuple(method.value for method in Method) == METHODS


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(InputError, match="no method `magic`"):
        solve(pair(), SolveOptions(method="magic"))


@pytest.mark.parametrize(
    ("method", "changes", "what"),
    [
        ("petals", {"layer_pins": (LayerPin(host="h0", layers=(0, 2)),)}, "pinned to a host"),
        ("hexgen", {"group_pins": (GroupPin(host="h0", devices=(0, 1)),)}, "pinned to one stage"),
    ],
)
def test_a_pin_that_a_method_does_not_know_is_refused(
    method: str, changes: dict[str, object], what: str
) -> None:
    with pytest.raises(InputError, match=what):
        solve(pair(**changes), SolveOptions(method=method))


def test_devices_pinned_to_one_stage_are_one_machine_to_petals() -> None:
    profiles = [profile("d0", [90, 40, 30, 20], tp) for tp in (1, 2)]
    spec = pair(group_pins=(GroupPin(host="h0", devices=(0, 1)),))
    spec = spec_of(
        spec.model, spec.cluster.hosts, profiles=profiles, group_pins=spec.cluster.group_pins
    )
    plan = solve(spec, SolveOptions(method="petals"))
    assert check_plan(plan) == ()
    assert {stage.devices for stage in plan.stages if stage.host == "h0"} == {(0, 1)}


def test_a_method_whose_stages_no_link_joins_has_no_placement() -> None:
    hosts = [host("a0", ["d0"], site="a"), host("b0", ["d0"], site="b")]
    profiles = [profile("d0", [90, 40])]
    spec = spec_of(tiny_model(4), hosts, profiles=profiles, links=[link("a", "a"), link("b", "b")])
    with pytest.raises(LimitReached, match="no link joins"):
        solve(spec, SolveOptions(method="swarm"))
