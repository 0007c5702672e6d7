"""The cheapest hosts that carry a rate, against every subset of them."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from itertools import product

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.brute import best_flow
from support.clusters import host, link, profile, spec_of, tiny_model

from hexplan.check import check_plan
from hexplan.cluster import Exclusion, LayerPin
from hexplan.errors import InfeasibleError
from hexplan.host import Host, Spot
from hexplan.plan import Plan, SolveInfo
from hexplan.plan_file import plan_json
from hexplan.spec import Spec
from hexplan_solver import SolveOptions, solve

TOKENS = 128
"""Prompt and output of a request of `spec_of`."""


def priced(name: str, price: str, spot: Spot | None = None, devices: str = "d0") -> Host:
    update = {"price_usd_per_h": Decimal(price), "spot": spot}
    return host(name, [devices]).model_copy(update=update)


def asking(spec: Spec, tokens_per_s: float) -> Spec:
    workload = spec.workload.model_copy(update={"request_rate_per_s": tokens_per_s / TOKENS})
    return replace(spec, workload=workload, objective="cost")


def solved(spec: Spec, time_limit_s: float = 10) -> Plan:
    plan = solve(spec, SolveOptions(time_limit_s=time_limit_s))
    assert [str(violation) for violation in check_plan(plan)] == []
    assert plan.objective == "cost"
    return plan


def cheapest(spec: Spec, tokens_per_s: float) -> Decimal | None:
    """Return the least rent over all subsets of hosts and offers whose best flow is enough."""
    best: Decimal | None = None
    for modes in product((None, False, True), repeat=len(spec.cluster.hosts)):
        hosts = [
            h.model_copy(update={"spot": h.spot.model_copy(update={"is_taken": mode})})
            if h.spot is not None and mode is not None
            else h
            for h, mode in zip(spec.cluster.hosts, modes, strict=True)
            if mode is not None and (h.spot is not None or not mode)
        ]
        if not hosts or sum(mode is not None for mode in modes) != len(hosts):
            continue
        rent = sum((h.rent_usd_per_h or Decimal(0) for h in hosts), Decimal(0))
        if (best is None or rent < best) and flow_on(spec, hosts) >= tokens_per_s * 10**6:
            best = rent
    return best


def flow_on(spec: Spec, hosts: list[Host]) -> int:
    """Return the best flow by brute force; a host on spot has a profile of its own."""
    renamed, profiles = [], list(spec.cluster.profiles)
    for index, h in enumerate(hosts):
        name = f"{h.devices[0]}-{index}"
        rates = next(p for p in spec.cluster.profiles if p.device == h.devices[0]).tokens_per_s
        renamed.append(h.model_copy(update={"devices": (name,)}))
        profiles.append(profile(name, [float(rate * h.presence) for rate in rates]))
    update = {"hosts": tuple(renamed), "profiles": tuple(profiles)}
    return best_flow(replace(spec, cluster=spec.cluster.model_copy(update=update)))


@st.composite
def offers(draw: st.DrawFn) -> tuple[Spec, int]:
    tables = [sorted(draw(st.lists(st.integers(10, 900), min_size=3, max_size=3)), reverse=True)]
    tables.append(
        sorted(draw(st.lists(st.integers(10, 900), min_size=3, max_size=3)), reverse=True)
    )
    hosts = []
    for index in range(draw(st.integers(2, 4))):
        price = draw(st.integers(1, 9))
        cheaper = draw(st.integers(0, price - 1))
        offer = Spot(
            price_usd_per_h=Decimal(cheaper),
            availability=Decimal(draw(st.sampled_from(["0.5", "0.9"]))),
        )
        spot = offer if draw(st.booleans()) else None
        hosts.append(priced(f"h{index}", str(price), spot, f"d{draw(st.integers(0, 1))}"))
    profiles = [profile(f"d{i}", table) for i, table in enumerate(tables)]
    spec = spec_of(tiny_model(draw(st.integers(2, 4))), hosts, profiles=profiles)
    return asking(spec, 1), draw(st.integers(5, 600))


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(case=offers())
def test_the_cost_is_the_least_of_all_subsets_and_is_proved(case: tuple[Spec, int]) -> None:
    spec, tokens_per_s = case
    best = cheapest(spec, tokens_per_s)
    if best is None:
        with pytest.raises(InfeasibleError):
            solve(asking(spec, tokens_per_s))
        return
    plan = solved(asking(spec, tokens_per_s))
    assert plan.predicted.cost_usd_per_h == best
    assert plan.certificate.cost_bound_usd_per_h == best
    assert plan.certificate.status == "optimal in cost"


THREE = [priced("small", "1"), priced("middle", "3"), priced("large", "10")]
FAST = spec_of(tiny_model(2), THREE, profiles=[profile("d0", [100, 60])])


def test_hosts_that_the_rate_does_not_need_say_so() -> None:
    plan = solved(asking(FAST, 50))
    assert {stage.host for stage in plan.stages} == {"small"}
    assert {u.host: u.reason for u in plan.unused} == {
        "middle": "not needed at this rate",
        "large": "not needed at this rate",
    }
    assert plan.cluster == FAST.cluster
    assert plan.predicted.cost_usd_per_h == 1


def test_a_rate_beyond_all_hosts_is_refused_with_the_proved_most() -> None:
    """Three hosts of 60 tokens/s: 180 tokens/s are 1.40625 requests/s."""
    with pytest.raises(InfeasibleError, match="at most 1.406 requests/s; asked 2") as caught:
        solve(asking(FAST, 2 * TOKENS))
    assert "the best plan found carries 1.406 requests/s" in str(caught.value.hint)


def test_pins_and_exclusions_hold_whatever_they_cost() -> None:
    spec = spec_of(
        tiny_model(2),
        THREE,
        profiles=[profile("d0", [100, 60])],
        layer_pins=(LayerPin(host="large", layers=(0, 1)),),
        exclusions=(Exclusion(host="small"),),
    )
    plan = solved(asking(spec, 50))
    assert plan.predicted.cost_usd_per_h == 13
    assert {u.host: u.reason for u in plan.unused} == {"small": "excluded by a pin"}


def test_a_spot_offer_counts_by_its_availability() -> None:
    """60 tokens/s at 90 % are 54: enough for 54, not for 55."""
    offer = Spot(price_usd_per_h=Decimal("0.5"), availability=Decimal("0.9"))
    hosts = [priced("on-spot", "2", offer), priced("other", "3")]
    spec = spec_of(tiny_model(2), hosts, profiles=[profile("d0", [100, 60])])
    plan = solved(asking(spec, 54))
    assert plan.predicted.cost_usd_per_h == Decimal("0.5")
    assert plan.certificate.flow_tokens_per_s == 54
    assert plan.cluster.hosts[0].spot == offer.model_copy(update={"is_taken": True})
    assert solved(asking(spec, 55)).predicted.cost_usd_per_h == 2


def test_links_that_bind_make_another_choice_of_hosts() -> None:
    """The cheap pair stands on two sites whose link passes 20 tokens/s; the dear pair on one."""
    hosts = [
        priced("a", "1"),
        priced("b", "1").model_copy(update={"site": "far"}),
        priced("c", "4"),
    ]
    model = tiny_model(2)
    slow = 20 * model.hidden * model.dtype_bytes
    links = [link("here", "here"), link("far", "far")]
    links += [link("here", "far", slow), link("far", "here", slow)]
    spec = spec_of(model, hosts, profiles=[profile("d0", [100])], links=links)
    plan = solved(asking(spec, 50), 5)
    assert {stage.host for stage in plan.stages} == {"a", "c"}
    assert plan.predicted.cost_usd_per_h == 5
    assert plan.certificate.cost_bound_usd_per_h == 2
    assert plan.certificate.cost_gap == Decimal("1.5")


def test_a_plan_for_throughput_states_what_its_hosts_cost() -> None:
    plan = solve(FAST)
    assert check_plan(plan) == ()
    assert plan.objective == "throughput"
    assert plan.predicted.cost_usd_per_h == 14


@pytest.mark.parametrize("objective", ["cost", pytest.param("latency", marks=pytest.mark.slow)])
def test_the_same_input_gives_the_same_bytes(objective: str) -> None:
    spec = replace(asking(FAST, 100), objective=objective)
    blank = SolveInfo(wall_s=0.0, seed=0, versions={})
    texts = {plan_json(solve(spec).model_copy(update={"solve": blank})) for _ in range(3)}
    assert len(texts) == 1
