"""Plans for latency: the split is the best of all, and the plan carries the rate."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from scipy.optimize import minimize_scalar
from support.clusters import GBIT, device_type, host, link, profile, spec_of, tiny_model
from support.specs import spec_of as spec_of_text

from hexplan.check import check_plan
from hexplan.constants import MICRO
from hexplan.errors import InfeasibleError
from hexplan.host import Host, Interconnect
from hexplan.plan import Plan
from hexplan.spec import Spec
from hexplan_solver import SolveOptions, solve
from hexplan_solver.flow.network import build_network
from hexplan_solver.objectives.latency.split import split_rate, times_of
from hexplan_solver.objectives.latency.stations import station_of
from hexplan_solver.placement.placement import PlacedStage
from hexplan_solver.problem.problem import build_problem
from hexplan_solver.repeat import repeat

TOKENS = 128
MEASURED = [profile("d0", [100, 60]), profile("d1", [400, 240])]


def asking(spec: Spec, requests_per_s: float) -> Spec:
    workload = spec.workload.model_copy(update={"request_rate_per_s": requests_per_s})
    return replace(spec, workload=workload, objective="latency")


def solved(spec: Spec, time_limit_s: float = 6) -> Plan:
    plan = solve(spec, SolveOptions(time_limit_s=time_limit_s))
    assert [str(violation) for violation in check_plan(plan)] == []
    assert plan.objective == "latency"
    assert plan.predicted.ttft_s is not None
    assert plan.predicted.tpot_s is not None
    return plan


def two_in_parallel() -> Spec:
    hosts = [host("slow", ["d0"]), host("fast", ["d1"])]
    return spec_of(tiny_model(2), hosts, profiles=MEASURED)


def two_by_datasheet() -> Spec:
    """Return two hosts whose static speeds and simulated steps rest on the same datasheets."""
    hosts = [host("slow", ["d0"]), host("fast", ["d1"])]
    types = [device_type("d0", speed=10**7), device_type("d1", speed=4 * 10**7)]
    return spec_of(tiny_model(2), hosts, types=types)


def most_requests_per_s(spec: Spec) -> float:
    return float(solve(spec, SolveOptions(time_limit_s=5)).predicted.requests_per_s)


@pytest.mark.parametrize("requests_per_s", [0.2, 1.0, 1.8, 2.2])
def test_a_rate_is_split_over_two_hosts_as_by_trying_every_share(requests_per_s: float) -> None:
    spec = two_in_parallel()
    problem = build_problem(spec)
    kinds = {k.group: k.index for k in problem.kinds}
    stages = [
        PlacedStage((0, 2), name, (0,), kinds[(kind,)], rate * MICRO)
        for name, kind, rate in (("fast", "d1", 240), ("slow", "d0", 60))
    ]
    network = build_network(spec, stages)
    stations = [station_of(problem, stage).station for stage in network.stages]
    flow = int(requests_per_s * TOKENS * MICRO)
    paths = split_rate(problem, network, stations, flow)
    found = times_of(problem, network, stations, paths)
    assert sum(path.amount for path in paths) == pytest.approx(flow, abs=10)

    def mean_s(share: float) -> float:
        total = 0.0
        for station, part in zip(stations, (share, 1 - share), strict=True):
            rate = part * requests_per_s
            round_s = station.alone_s + 2 * 0.001
            hop = station.prompt_hop_s(rate) + 63 * station.decode_hop_s(rate, round_s)
            total += part * hop
        return total

    least = max(0.0, 1 - 60 / TOKENS / requests_per_s)
    most = min(1.0, 240 / TOKENS / requests_per_s)
    best = minimize_scalar(mean_s, bounds=(least, most), method="bounded")
    links_s = 2 * 0.001 * 64
    assert found.total_s == pytest.approx(best.fun + links_s, rel=0.01)


def test_a_station_passes_exactly_its_capacity_at_its_planning_batch() -> None:
    spec = spec_of(tiny_model(12), [host("h", ["d0"])], types=[device_type("d0")])
    problem = build_problem(spec)
    rate = problem.kinds[0].rates.of(0, 12)
    stage = PlacedStage((0, 12), "h", (0,), 0, rate)
    station = station_of(problem, stage).station
    room = 10**9 * 9 // 10 // (12 * 2 * 64 * 2)
    assert room > 256 * TOKENS
    request_s = station.prompt_s + 64 * (station.base_s / 256 + station.token_s)
    assert TOKENS / request_s == pytest.approx(rate / MICRO, rel=1e-6)


def test_a_plan_at_a_low_rate_takes_the_fast_host_alone() -> None:
    plan = solved(asking(two_by_datasheet(), 0.1))
    assert {stage.host for stage in plan.stages} == {"fast"}
    assert plan.predicted.requests_per_s == pytest.approx(Decimal("0.1"), abs=Decimal("1e-6"))
    assert [u.reason for u in plan.unused] == [
        "no placement was found in which it shortens a request"
    ]


def test_a_plan_states_the_run_at_its_rate_that_its_times_come_from() -> None:
    plan = solved(asking(two_by_datasheet(), 0.1))
    run = plan.predicted.run
    assert run is not None
    assert run.requests_per_s == Decimal("0.1")
    basis = f"simulation of {run.requests} requests at the rate asked for"
    assert plan.predicted.latency_basis == basis
    assert repeat(plan) == plan.predicted


def test_a_rate_below_what_a_plan_can_write_is_judged_by_the_queueing_model() -> None:
    plan = solved(asking(two_by_datasheet(), 1e-7))
    assert plan.predicted.run is None
    assert "queueing model" in str(plan.predicted.latency_basis)


@pytest.mark.slow
def test_a_plan_at_a_high_rate_takes_both_and_waits_longer() -> None:
    spec = two_by_datasheet()
    most = most_requests_per_s(spec)
    low, high = (solved(asking(spec, share * most)) for share in (0.001, 0.9))
    assert {stage.host for stage in high.stages} == {"fast", "slow"}
    assert low.predicted.ttft_s < high.predicted.ttft_s  # type: ignore[operator]
    assert low.predicted.tpot_s < high.predicted.tpot_s  # type: ignore[operator]


def test_a_plan_for_latency_stays_on_one_site_where_a_plan_for_throughput_crosses_over() -> None:
    far = link("near", "far", GBIT).model_copy(update={"latency_s": Decimal("0.2")})
    back = far.model_copy(update={"source": "far", "target": "near"})
    hosts = [host("a", ["d0"], "near"), host("b", ["d1"], "far"), host("c", ["d0"], "near")]
    links = [link("near", "near"), link("far", "far"), far, back]
    spec = spec_of(tiny_model(3), hosts, profiles=MEASURED, links=links)
    near = spec.cluster.coordinator.model_copy(update={"site": "near"})
    spec = replace(spec, cluster=spec.cluster.model_copy(update={"coordinator": near}))
    throughput = solve(spec, SolveOptions(time_limit_s=5))
    assert "b" in {stage.host for stage in throughput.stages}
    plan = solved(asking(spec, 0.1))
    assert {stage.host for stage in plan.stages} == {"a", "c"}


def test_a_wide_stage_is_preferred_to_a_chain_of_narrow_ones() -> None:
    wire = Interconnect(bandwidth_bytes_per_s=10**12, latency_s=Decimal("1e-7"))
    pair = Host.model_validate(host("h", ["d0", "d0"]).model_copy(update={"interconnect": wire}))
    slow = device_type("d0", speed=10**9)
    spec = spec_of(tiny_model(8), [pair], types=[slow])
    plan = solved(asking(spec, 0.01))
    assert [stage.tp for stage in plan.stages] == [2]


def test_a_rate_beyond_every_plan_is_refused_with_the_proved_most() -> None:
    spec = two_by_datasheet()
    most = most_requests_per_s(spec)
    with pytest.raises(InfeasibleError, match=f"at most .* requests/s; asked {9 * most:g}"):
        solve(asking(spec, 9 * most), SolveOptions(time_limit_s=6))


@pytest.mark.slow
def test_a_rate_above_the_static_speeds_is_carried_where_the_simulation_shows_it() -> None:
    """The profiles state speeds at small batches; by its datasheet a host is far faster."""
    plan = solved(asking(two_in_parallel(), 2.5))
    run, flow = plan.predicted.run, plan.certificate.flow_tokens_per_s
    assert plan.predicted.requests_per_s < Decimal("2.5")
    assert flow == pytest.approx(plan.certificate.cut_tokens_per_s, rel=Decimal("1e-6"))
    assert run is not None
    assert run.requests_per_s == Decimal("2.5")
    assert repeat(plan) == plan.predicted


THREE_ODD = """\
version: 1
name: three-odd
model: {name: llama-2-7b, weights: int4}
workload: {prompt_tokens: 32, output_tokens: 50, request_rate: 10/h}
objective: latency
devices:
  some: {kind: cuda, memory: 8GiB, memory_bandwidth: 256GB/s, compute: 62 TFLOP/s}
  old: {kind: cuda, memory: 8GiB, memory_bandwidth: 256GB/s, compute: 6.5 TFLOP/s}
  large: {kind: rocm, memory: 12GiB, memory_bandwidth: 384GB/s, compute: 26 TFLOP/s}
hosts:
  - {name: a, site: home, devices: some, nic: 1Gbps}
  - {name: b, site: home, devices: old, nic: 1Gbps}
  - {name: c, site: home, devices: large, nic: 1Gbps}
coordinator: {site: home, nic: 1Gbps}
links: [{within: home, bandwidth: 1Gbps, latency: 0.3ms}]
"""


def test_an_idle_device_has_its_reason_whatever_hosts_were_tried() -> None:
    """The best placement is found without the others, which is no reason to call them unfit."""
    plan = solved(spec_of_text(THREE_ODD), 4)
    assert {stage.host for stage in plan.stages} == {"c"}
    reasons = {u.reason for u in plan.unused}
    assert reasons == {"no placement was found in which it shortens a request"}
