"""The solver against every placement of tiny clusters."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.brute import best_flow
from support.brute_links import best_linked_flow
from support.clusters import host, link, profile, spec_of, tiny_model
from support.random_clusters import SMALL, TINY, random_spec

from hexplan.check import check_plan
from hexplan.errors import InfeasibleError
from hexplan.spec import Spec
from hexplan_solver import solve

TOLERANCE = 3e-6
"""What the MILP's tolerances and the rounding to 1e-6 tokens/s may cost, as a share."""

tables = st.lists(st.integers(10, 1000), min_size=1, max_size=4)


@st.composite
def single_device_specs(draw: st.DrawFn) -> Spec:
    layers = draw(st.integers(2, 5))
    kinds = draw(st.lists(tables, min_size=1, max_size=2))
    hosts = [
        host(f"h{i}", [f"d{draw(st.integers(0, len(kinds) - 1))}"])
        for i in range(draw(st.integers(2, 4)))
    ]
    profiles = [profile(f"d{i}", table) for i, table in enumerate(kinds)]
    return spec_of(tiny_model(layers), hosts, profiles=profiles)


@st.composite
def grouped_specs(draw: st.DrawFn) -> Spec:
    """One or two hosts with up to three like devices, measured for every degree."""
    layers = draw(st.integers(2, 4))
    hosts = [
        host(f"h{i}", ["d0"] * draw(st.integers(1, 3))) for i in range(draw(st.integers(1, 2)))
    ]
    profiles = [profile("d0", draw(tables), tp) for tp in (1, 2, 3)]
    heads = {"kv_heads": draw(st.sampled_from([1, 6])), "heads": 6}
    return spec_of(tiny_model(layers).model_copy(update=heads), hosts, profiles=profiles)


def assert_matches_brute_force(spec: Spec) -> None:
    best = best_flow(spec)
    if best == 0:
        with pytest.raises(InfeasibleError):
            solve(spec)
        return
    plan = solve(spec)
    assert check_plan(plan) == ()
    flow = int(plan.certificate.flow_tokens_per_s * 10**6)
    assert best * (1 - TOLERANCE) <= flow <= best
    assert int(plan.certificate.bound_tokens_per_s * 10**6) >= best


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(spec=single_device_specs())
def test_single_devices_are_placed_as_well_as_by_trying_everything(spec: Spec) -> None:
    assert_matches_brute_force(spec)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(spec=grouped_specs())
def test_groups_of_devices_are_chosen_as_well_as_by_trying_everything(spec: Spec) -> None:
    assert_matches_brute_force(spec)


@pytest.mark.parametrize("bandwidth_tokens_per_s", [5, 60, 400])
def test_a_slow_link_is_respected_and_the_bound_stays_above_the_best(
    bandwidth_tokens_per_s: int,
) -> None:
    model = tiny_model(3)
    token_bytes = model.hidden * model.dtype_bytes
    slow = bandwidth_tokens_per_s * token_bytes
    links = [link("a", "a"), link("b", "b"), link("a", "b", slow), link("b", "a", slow)]
    hosts = [host(f"h{i}", ["d0"], site="ab"[i // 2]) for i in range(4)]
    spec = spec_of(model, hosts, profiles=[profile("d0", [500, 240, 110])], links=links, time_s=3)
    best = best_flow(spec)
    plan = solve(spec)
    assert check_plan(plan) == ()
    flow = int(plan.certificate.flow_tokens_per_s * 10**6)
    assert flow <= best <= int(plan.certificate.bound_tokens_per_s * 10**6)
    assert flow >= best * (1 - TOLERANCE)


LINKED_TOLERANCE = 4e-6
"""The same, and what the linear program's tolerances and its rounding down may cost."""
EXAMPLES, CHUNK = 500, 10
"""Of the slow test, and how many of them count as one."""


def assert_linked_matches_brute_force(spec: Spec) -> None:
    """Compare with every grouping and every range, all links, NICs, trunks and policies counted."""
    try:
        plan = solve(spec)
    except InfeasibleError:
        assert best_linked_flow(spec, 0.0) == 0.0
        return
    assert check_plan(plan) == ()
    flow = float(plan.certificate.flow_tokens_per_s)
    best = best_linked_flow(spec, flow * (1 - 1e-5))
    assert best * (1 - LINKED_TOLERANCE) <= flow <= best * (1 + LINKED_TOLERANCE)
    assert float(plan.certificate.bound_tokens_per_s) >= best * (1 - 1e-9)


@pytest.mark.parametrize("seed", range(12))
def test_small_clusters_with_links_of_all_kinds_are_solved_to_the_optimum(seed: int) -> None:
    assert_linked_matches_brute_force(random_spec(seed, SMALL, 20.0))


@pytest.mark.parametrize(("seed", "kv_heads"), [(3, 1), (5, 2), (8, 1), (9, 2)])
def test_models_of_few_kv_heads_are_solved_to_the_optimum(seed: int, kv_heads: int) -> None:
    """Up to three devices stand in a host here, of which three cannot share two KV heads."""
    spec = random_spec(seed, TINY, 20.0)
    model = spec.model.model_copy(update={"kv_heads": kv_heads, "heads": 6})
    assert_linked_matches_brute_force(replace(spec, model=model))


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, EXAMPLES, CHUNK))
def test_tiny_clusters_with_links_of_all_kinds_are_solved_to_the_optimum(first: int) -> None:
    for seed in range(first, first + CHUNK):
        assert_linked_matches_brute_force(random_spec(seed, TINY, 60.0))
