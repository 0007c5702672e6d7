"""Why a device can serve in no plan: what `solve` states, and what a plan without it proves."""

from __future__ import annotations

import pytest
from support.clusters import device_type, host, link, profile, spec_of, tiny_model
from support.specs import spec_of as spec_of_text

from hexplan.check import check_plan
from hexplan.cluster import GroupPin
from hexplan.plan import Plan
from hexplan.spec import Spec
from hexplan_solver import SolveOptions, explain, solve
from hexplan_solver.problem.problem import build_problem
from hexplan_solver.problem.unfit import NO_STAGE, Fitness

OLD_AND_NEW = """\
version: 1
name: old-and-new
model: MODEL
objective: throughput
workload: {prompt_tokens: 1024, output_tokens: 256}
hosts:
  - {name: old, site: dc, devices: 2 x V100-32GB, interconnect: pcie3, nic: 10Gbps}
  - {name: new, site: dc, devices: A100-80GB, nic: 10Gbps}
coordinator: {site: dc, nic: 10Gbps}
links: [{within: dc, bandwidth: 10Gbps, latency: 0.1ms}]
"""


def solved(spec: Spec) -> Plan:
    plan = solve(spec, SolveOptions(time_limit_s=4))
    assert [str(violation) for violation in check_plan(plan)] == []
    return plan


def old_and_new(model: str) -> Plan:
    return solved(spec_of_text(OLD_AND_NEW.replace("MODEL", model)))


def test_a_device_that_lacks_the_dtype_is_told_so_and_with_the_other_dtype_it_serves() -> None:
    """V100s compute in float16, but not in bfloat16."""
    plan = old_and_new("llama-3.1-8b")
    reason = "it does not compute in bfloat16; with `dtype: float16` it could serve"
    assert [(u.host, u.reason) for u in plan.unused] == [("old", reason)] * 2
    assert [idle.reason for idle in explain(plan).idle] == [reason]
    other = old_and_new("{name: llama-3.1-8b, dtype: float16}")
    assert other.unused == ()
    flows = [p.certificate.flow_tokens_per_s for p in (plan, other)]
    assert flows[1] > flows[0] * 3 / 2


def reason_of(spec: Spec, name: str) -> str | None:
    return Fitness(build_problem(spec)).why_unfit(name, 0)


def test_a_device_that_is_too_small_for_one_layer_is_told_what_that_takes() -> None:
    small = device_type("small", memory_bytes=50_000)
    spec = spec_of(tiny_model(2), [host("a", ["d0"]), host("s", ["small"])], types=[small])
    assert reason_of(spec, "a") is None
    assert "one layer with room for one longest request takes" in str(reason_of(spec, "s"))
    reasons = {u.host: u.reason for u in solved(spec).unused}
    assert reasons == {"s": reason_of(spec, "s")}


def test_small_devices_that_hold_a_layer_together_are_not_called_too_small() -> None:
    """A group of two shares each layer, so that either of them can serve."""
    spec = spec_of(tiny_model(2, kv_heads=4), [host("a", ["d0"]), host("p", ["half", "half"])])
    for num_bytes in range(40_000, 200_000, 10_000):
        half = device_type("half", memory_bytes=num_bytes)
        types = tuple(half if t.name == "half" else t for t in spec.cluster.device_types)
        cluster = spec.cluster.model_copy(update={"device_types": types})
        changed = Spec(cluster, spec.model, spec.workload)
        problem = build_problem(changed)
        serves = any("half" in kind.group for kind in problem.kinds)
        assert (reason_of(changed, "p") is None) == serves


@pytest.mark.parametrize(("source", "target", "way"), [("y", "x", "to"), ("x", "y", "away from")])
def test_a_host_that_links_reach_in_one_direction_only_is_told_which(
    source: str, target: str, way: str
) -> None:
    links = [link("x", "x"), link("y", "y"), link(source, target)]
    spec = spec_of(tiny_model(2), [host("a", ["d0"], "x"), host("b", ["d0"], "y")], links=links)
    assert reason_of(spec, "b") == f"no rule of `links` leads {way} b"


def test_a_device_that_a_pin_ties_into_an_impossible_group_has_no_stage() -> None:
    spec = spec_of(
        tiny_model(2, kv_heads=1),
        [host("a", ["d0"]), host("b", ["d0", "d0"])],
        group_pins=(GroupPin(host="b", devices=(0, 1)),),
    )
    kinds = [kind.group for kind in build_problem(spec).kinds]
    assert (reason_of(spec, "b") == NO_STAGE) == (("d0", "d0") not in kinds)


def test_a_device_that_could_serve_is_left_out_with_a_proof_or_with_a_way_to_look_further() -> None:
    """Two of three like hosts hold the two layers; the third serves only beside one of them."""
    three = spec_of(tiny_model(2), [host(n, ["d0"]) for n in "abc"], profiles=[profile("d0", [90])])
    plan = solved(three)
    (unused,) = plan.unused
    is_proved = plan.certificate.gap == 0
    assert ("is proved the largest, with it or without it" in unused.reason) == is_proved
    assert ("`hexplan explain` tries each place for it" in unused.reason) == (not is_proved)
