"""Specs whose longest request only fits with host memory: planned and proved, or refused."""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from random import Random

import pytest
from support.slow import slow

from hexplan.check import check_plan
from hexplan.check.bound.supply import supply_of
from hexplan.check.lookup import Lookup
from hexplan.cluster import Cluster
from hexplan.errors import InfeasibleError
from hexplan.plan import Plan
from hexplan.reading import parse_spec
from hexplan.spec import Spec
from hexplan_solver import SolveOptions, solve
from hexplan_solver.problem.problem import build_problem
from hexplan_solver.repeat import repeat

SPEC = """
version: 1
name: longest
model: {{name: llama-3.1-8b, dtype: float16}}
workload: {{prompt_tokens: {{mean: 20000, max: 120000}}, output_tokens: {{mean: 300, max: 1000}}}}
hosts:
{hosts}
coordinator: {{site: lab, nic: 100Gbps}}
links:
  - {{within: lab, bandwidth: 100Gbps, latency: 0.1ms}}
limits: {{chunk_tokens: 2048, time: 5s}}
objective: {objective}
techniques: {{kv_offload: {how}, kv_fraction: {fraction}}}
"""
ONE = "  - {name: one, site: lab, devices: L4, nic: 100Gbps, host_memory: 128GB}"
PAIR = "  - {name: 'n-[0-1]', site: lab, devices: T4, nic: 100Gbps, host_memory: 64GB}"
TP = (
    "  - {name: n, site: lab, devices: 2 x T4, interconnect: pcie3, nic: 100Gbps,"
    " host_memory: 24GB}"
)
ODD = """  - {name: n, site: lab, devices: T4, nic: 100Gbps, host_memory: 16GB}
  - {name: m, site: lab, devices: T4, nic: 10Gbps, host_memory: 12GB, host_link: 12GB/s}"""
SPOT = ODD.replace("devices: T4", "devices: T4, spot: {price: 1 USD/h, availability: 90%}", 1)
HOSTS = {"one": ONE, "pair": PAIR, "tp": TP, "odd": ODD, "spot": SPOT}


def spec_of(hosts: str, objective: str = "throughput", how: str = "on", share: str = "0.1") -> Spec:
    text = SPEC.format(hosts=hosts, objective=objective, how=how, fraction=share)
    return parse_spec(text, Path("longest.yaml"))


@lru_cache
def plan_of(hosts: str, objective: str = "throughput") -> Plan:
    return solve(spec_of(hosts, objective), SolveOptions(effort_s=5))


def needing(plan: Plan) -> list[str]:
    longest = plan.workload.max_tokens
    return [stage.id for stage in plan.stages if stage.kv_tokens < longest <= stage.room_tokens]


@pytest.mark.parametrize("hosts", HOSTS.values(), ids=HOSTS)
def test_a_longest_request_that_only_fits_with_host_memory_is_planned_and_check_agrees(
    hosts: str,
) -> None:
    plan = plan_of(hosts)
    assert needing(plan)
    assert plan.certificate.bound_tokens_per_s >= plan.certificate.flow_tokens_per_s
    assert check_plan(plan, repeat(plan)) == ()


@pytest.mark.parametrize("objective", ["balanced", slow("sustained")])
def test_other_objectives_count_it_too(objective: str) -> None:
    plan = plan_of(TP, objective)
    assert needing(plan)
    assert check_plan(plan, repeat(plan)) == ()


def test_requests_enter_stages_at_their_first_layers_alone() -> None:
    plan = plan_of(ODD)
    first = {stage.id: stage.layers[0] for stage in plan.stages}
    hops = [hop for route in plan.routes for hop in route.hops]
    assert all(hop.enter_layer == first[hop.stage] for hop in hops)


def test_fetching_lowers_what_a_stage_passes() -> None:
    links = ("1000GB/s", "25GB/s", "4GB/s")
    hosts = [TP.replace("host_memory", f"host_link: {link}, host_memory") for link in links]
    flows = [plan_of(one).certificate.flow_tokens_per_s for one in hosts]
    assert flows[0] > flows[1] > flows[2]


@pytest.mark.parametrize("hosts", HOSTS.values(), ids=HOSTS)
def test_check_and_search_give_each_group_of_devices_the_same_rates(hosts: str) -> None:
    plan = plan_of(hosts)
    known = {}
    for supply in supply_of(Lookup.of(plan)):
        for host in supply.hosts:
            known |= {(host, group): curve for group, curve in supply.curves.items()}
    problem = build_problem(Spec.of(plan))
    assert problem.kinds
    for kind in problem.kinds:
        for host in problem.classes[kind.host_class].hosts:
            curve = known[host, tuple(sorted(kind.group))]
            ends = [row for rows in kind.rates.by_layers for row in rows]
            for layers in range(1, kind.rates.num_layers + 1):
                found = max(row[layers] for row in ends)
                checked = curve[layers] if layers < len(curve) else 0
                assert abs(found - checked) <= 2 + checked * 1e-9


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_random_hosts_get_a_plan_that_check_accepts_or_a_reason(seed: int) -> None:
    random = Random(seed)
    hosts = []
    for number in range(random.randint(1, 3)):
        devices = random.choice(["T4", "2 x T4", "[1 x L4, 1 x T4]"])
        inside = "" if devices == "T4" else ", interconnect: pcie3"
        memory, link = random.randint(4, 40), random.choice([3, 12, 50])
        hosts.append(
            f"  - {{name: h{number}, site: lab, devices: {devices}, nic: 100Gbps{inside},"
            f" host_memory: {memory}GB, host_link: {link}GB/s}}"
        )
    objective = random.choice(["throughput", "sustained", "balanced"])
    try:
        plan = plan_of("\n".join(hosts), objective)
    except InfeasibleError as error:
        assert "does not fit" in str(error) or "longest request" in str(error)
        return
    assert check_plan(plan, repeat(plan)) == ()


def without_memory(plan: Plan) -> Plan:
    """Return the plan on hosts with half of the host memory."""
    hosts = tuple(
        host.model_copy(update={"host_memory_bytes": (host.host_memory_bytes or 0) // 2})
        for host in plan.cluster.hosts
    )
    cluster: Cluster = plan.cluster.model_copy(update={"hosts": hosts})
    return plan.model_copy(update={"cluster": cluster, "cluster_sha256": cluster.sha256})


def with_stage(plan: Plan, **update: object) -> Plan:
    first, *others = plan.stages
    return plan.model_copy(update={"stages": (first.model_copy(update=update), *others)})


def with_room(plan: Plan, kv_tokens: int) -> Plan:
    how = plan.stages[0].kv_offload
    assert how is not None
    return with_stage(plan, kv_offload=how.model_copy(update={"kv_tokens": kv_tokens}))


def with_technique(plan: Plan, how: str) -> Plan:
    techniques = plan.cluster.techniques.model_copy(update={"kv_offload": how})
    cluster: Cluster = plan.cluster.model_copy(update={"techniques": techniques})
    return plan.model_copy(update={"cluster": cluster, "cluster_sha256": cluster.sha256})


def with_bound(plan: Plan) -> Plan:
    certificate = plan.certificate
    lower = {"bound_tokens_per_s": certificate.flow_tokens_per_s, "gap": Decimal(0)}
    return plan.model_copy(update={"certificate": certificate.model_copy(update=lower)})


def test_check_finds_what_is_wrong() -> None:
    plan = plan_of(TP)
    (stage,) = plan.stages
    faster = stage.capacity_tokens_per_s + Decimal("0.001")
    for wrong, rule in (
        (without_memory(plan), "HEX308"),
        (with_room(plan, plan.workload.max_tokens - 1), "HEX305"),
        (with_room(plan, stage.room_tokens + 1), "HEX411"),
        (with_stage(plan, kv_offload=None), "HEX305"),
        (with_stage(plan, capacity_tokens_per_s=faster), "HEX401"),
        (with_technique(plan, "auto"), "HEX305"),
        (with_bound(plan), "HEX801"),
    ):
        assert rule in {found.rule for found in check_plan(wrong)}, rule


def test_check_finds_a_route_that_enters_a_stage_inside() -> None:
    plan = plan_of(PAIR)
    first, second = plan.stages
    longer = second.model_copy(update={"layers": (second.layers[0] - 1, second.layers[1])})
    found = check_plan(plan.model_copy(update={"stages": (first, longer)}))
    (edge,) = [one for one in found if one.rule == "HEX501"]
    assert "needed its first one for host memory" in edge.message


@pytest.mark.parametrize(
    "update",
    [
        {"host": "nowhere"},
        {"layers": (0, 1)},
        {"layers": (5, 3)},
        {"shards": ()},
        {"kv_tokens": -1},
    ],
    ids=str,
)
def test_check_survives_what_makes_no_sense(update: dict[str, object]) -> None:
    for wrong in (with_stage(plan_of(TP), **update), with_room(plan_of(PAIR), 1)):
        assert check_plan(wrong)


def test_auto_is_refused_with_the_sum_and_what_to_change() -> None:
    with pytest.raises(InfeasibleError, match="`kv_offload: auto`, host memory does not") as caught:
        solve(spec_of(TP, how="auto"))
    assert "121000 tokens of the longest request take 14.8 GiB" in str(caught.value)
    assert "`kv_offload: on` it does" in str(caught.value.hint)


def test_too_little_host_memory_is_refused_with_the_sum_and_what_to_change() -> None:
    little = TP.replace("24GB", "9GB")
    with pytest.raises(
        InfeasibleError, match=r"the hosts state 8\.4 GiB of `host_memory`"
    ) as found:
        solve(spec_of(little))
    assert "state more `host_memory`" in str(found.value.hint)


def test_what_fits_on_devices_is_planned_as_before() -> None:
    roomy = TP.replace("2 x T4", "4 x T4")
    assert needing(plan_of(roomy)) == []
