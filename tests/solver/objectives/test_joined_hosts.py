"""Groups of devices across hosts: hosts are joined where that makes the plan better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import chain, combinations

import pytest
from support.clusters import device_type, host, link, spec_of, tiny_model
from support.dice import Dice
from support.random_clusters import TINY, random_spec
from support.slow import slow

from hexplan.check import check_plan
from hexplan.cluster import Cluster, Limits
from hexplan.errors import InfeasibleError
from hexplan.joining import joined, why_not_joined
from hexplan.plan import Objective, Plan
from hexplan.plan_file import plan_json
from hexplan.spec import Spec
from hexplan.workload import Lengths, Slo, Workload
from hexplan_solver import SolveOptions, explain, solve
from hexplan_solver.problem.joins import join_choices
from hexplan_solver.problem.params import PROBLEM_PARAMS

SEARCH = SolveOptions(time_limit_s=60, effort_s=6)
"""Far more time than the effort takes, so that the clock decides nothing."""
QUICK = Decimal("0.000000001")
Sets = Sequence[Sequence[str]]


def lab(count: int, sets: Sets, *, latency_s: Decimal = QUICK, memory_bytes: int = 10**9) -> Spec:
    """Return alike hosts of one device, some of which may be joined, and slow devices."""
    kind = device_type("d", memory_bytes, 10**8)
    names = [f"h{index}" for index in range(count)]
    lines = (link("here", "here").model_copy(update={"latency_s": latency_s}),)
    limits = Limits(solve_time_s=6.0, chunk_tokens=64, join=tuple(map(tuple, sets)))
    hosts = [host(name, ["d"]).model_copy(update={"interconnect": None}) for name in names]
    return spec_of(tiny_model(4), hosts, types=[kind], links=lines, limits=limits)


def aimed(spec: Spec, objective: Objective, rate: str = "0.001") -> Spec:
    lengths = {"prompt_tokens": Lengths(mean=64, max=64), "output_tokens": Lengths(mean=64, max=64)}
    workload = Workload(**lengths, request_rate_per_s=Decimal(rate))
    return replace(spec, workload=workload, objective=objective)


def planned(spec: Spec) -> Plan:
    plan = solve(spec, SEARCH)
    assert [str(violation) for violation in check_plan(plan)] == []
    return plan


def parts_of(plan: Plan) -> list[list[str]]:
    return [[part.name for part in host.parts] for host in plan.cluster.hosts if host.parts]


def request_s(plan: Plan) -> Decimal:
    assert plan.predicted.ttft_s is not None
    assert plan.predicted.tpot_s is not None
    return plan.predicted.ttft_s + 64 * plan.predicted.tpot_s


def test_joined_hosts_shorten_requests_where_their_link_is_quick() -> None:
    pair = [["h0", "h1"]]
    together = planned(aimed(lab(2, pair), "latency"))
    apart = planned(aimed(lab(2, []), "latency"))
    assert parts_of(together) == pair
    assert together.stages[0].tp == 2
    assert request_s(together) < Decimal("0.7") * request_s(apart)


@pytest.mark.slow
def test_hosts_stay_apart_where_their_link_is_slow() -> None:
    spec = aimed(lab(2, [["h0", "h1"]], latency_s=Decimal("0.01")), "latency")
    assert parts_of(planned(spec)) == []


@pytest.mark.slow
def test_as_many_hosts_are_joined_as_help() -> None:
    sets = [["h0", "h1"], ["h2", "h3"], ["h0", "h1", "h2", "h3"]]
    assert parts_of(planned(aimed(lab(4, sets), "latency"))) == [sets[2]]


def test_hosts_that_hold_no_layer_alone_hold_it_together() -> None:
    model = tiny_model(1).model_copy(update={"ffn": 10**5})
    # A layer weighs 38 MB, so half of it fits where the whole does not.
    spec = replace(lab(2, [["h0", "h1"]], memory_bytes=40 * 10**6), model=model)
    plan = planned(spec)
    assert plan.stages[0].tp == 2
    with pytest.raises(InfeasibleError):
        solve(replace(spec, cluster=lab(2, [], memory_bytes=40 * 10**6).cluster), SEARCH)


def every_way(cluster: Cluster) -> list[tuple[tuple[str, ...], ...]]:
    """List all families of allowed sets without a host in common, by trying every family."""
    sets = cluster.limits.join
    families = chain.from_iterable(combinations(sets, n) for n in range(1, len(sets) + 1))
    return [f for f in families if sum(map(len, f)) == len(set(chain.from_iterable(f)))]


@pytest.mark.parametrize("count", [2, 3, 4])
def test_few_ways_to_join_are_all_tried(count: int) -> None:
    names = [f"h{index}" for index in range(count)]
    sets = [list(s) for n in range(2, count + 1) for s in combinations(names, n)]
    cluster = lab(count, sets).cluster
    assert sorted(join_choices(cluster)) == sorted(every_way(cluster))


def test_of_many_ways_to_join_some_of_each_kind_are_tried() -> None:
    names = [f"h{index}" for index in range(16)]
    sets = [names[i : i + n] for n in (2, 4, 8) for i in range(0, 16, n)]
    ways = join_choices(lab(16, sets).cluster)
    assert len(ways) <= PROBLEM_PARAMS.max_join_choices
    found = {tuple(sorted(map(len, way))) for way in ways}
    assert found >= {(2,) * n for n in (1, 4, 8)} | {(4,) * n for n in (1, 2, 4)} | {(8,), (8, 8)}
    assert all(sum(map(len, way)) == len(set(chain.from_iterable(way))) for way in ways)


def joinable(seed: int) -> Spec:
    """Return a tiny cluster of any kind, in which most hosts that can be may be joined."""
    dice = Dice(seed)
    spec = random_spec(seed, TINY, 5.0)
    names = [h.name for h in spec.cluster.hosts]
    sets = (some for n in (2, 3) for some in combinations(names, n) if dice.chance(0.8))
    join = tuple(some for some in sets if not why_not_joined(spec.cluster, some))
    limits = spec.cluster.limits.model_copy(update={"join": join})
    return replace(spec, cluster=spec.cluster.model_copy(update={"limits": limits}))


@pytest.mark.parametrize("seed", [0, *(slow(seed) for seed in range(1, 8))])
def test_no_way_to_join_hosts_passes_more_than_the_plan_and_none_more_than_its_bound(
    seed: int,
) -> None:
    spec = joinable(seed)
    plan = planned(spec)
    certificate = plan.certificate
    for way in ((), *every_way(spec.cluster)):
        cluster = spec.cluster.model_copy(update={"limits": Limits(solve_time_s=5.0)})
        for names in way:
            cluster = joined(cluster, names)
        try:
            other = solve(replace(spec, cluster=cluster), SEARCH)
        except InfeasibleError:
            continue
        assert check_plan(other) == ()
        flow = other.certificate.flow_tokens_per_s
        # The proved bound holds for the hosts as they are joined in the plan.
        trusted = certificate.trusted
        most = certificate.bound_tokens_per_s if trusted is None else trusted.tokens_per_s
        assert flow <= most
        assert flow <= certificate.flow_tokens_per_s * Decimal("1.000001")


@pytest.mark.parametrize(
    "objective", ["throughput", *map(slow, ("latency", "sustained", "slo", "cost"))]
)
def test_every_objective_may_join_hosts_and_says_the_same_each_time(objective: Objective) -> None:
    spec = aimed(lab(2, [["h0", "h1"]], memory_bytes=3 * 10**6), objective)
    priced = [h.model_copy(update={"price_usd_per_h": Decimal(1)}) for h in spec.cluster.hosts]
    spec = replace(spec, cluster=spec.cluster.model_copy(update={"hosts": tuple(priced)}))
    if objective == "slo":
        slo = Slo(ttft_s=Decimal(10), tpot_s=Decimal(1), attainment=Decimal("0.9"))
        spec = replace(spec, workload=spec.workload.model_copy(update={"slo": slo}))
    first, second = planned(spec), planned(spec)
    trusted = first.certificate.trusted
    assert trusted is not None
    assert trusted.kind == "joins"
    texts = [plan_json(p.model_copy(update={"solve": first.solve})) for p in (first, second)]
    assert texts[0] == texts[1]


@pytest.mark.slow
def test_what_a_joined_plan_rests_on_is_explained() -> None:
    plan = planned(aimed(lab(2, [["h0", "h1"]]), "latency"))
    told = explain(plan, SEARCH)
    stopped = {option.stopped for degree in told.degrees for option in degree.options}
    assert "h0 + h1 are joined, so that all their devices form one stage" in stopped
