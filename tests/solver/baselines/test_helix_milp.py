"""Helix's MILP: its size is the published one, and what it proves is true."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.brute import best_flow
from support.clusters import host, link, profile, spec_of, tiny_model

from hexplan.check import check_plan
from hexplan.reading import read_spec
from hexplan.spec import Spec
from hexplan_solver import SolveOptions, solve
from hexplan_solver.baselines.helix.links import helix_links
from hexplan_solver.baselines.helix.model import helix_model
from hexplan_solver.baselines.helix.rows import add_rows
from hexplan_solver.baselines.machines import machines_of
from hexplan_solver.baselines.params import HELIX_PARAMS
from hexplan_solver.flow.network import OUTSIDE
from hexplan_solver.problem.problem import build_problem

SPECS = Path(__file__).parents[3] / "cluster_specs"
TOLERANCE = 3e-6

tables = st.lists(st.integers(10, 1000), min_size=1, max_size=4)


def test_the_model_has_the_published_size() -> None:
    """Published without partial inference: 1848 rows, 1376 columns.

    Partial inference adds two columns and one row for each of the 24 * 23 links inside.
    """
    spec = read_spec(SPECS / "helix-single24-llama70b.yaml")
    machines = machines_of(build_problem(spec))
    helix = helix_model(spec.model.layers, machines, helix_links(spec, machines))
    add_rows(helix, spec, machines)
    inner = 24 * 23
    assert len(helix.model.variables()) == 1376 + 2 * inner
    assert len(helix.model.constraints()) == 1848 + inner


def assert_proved_optimum_is_the_best(spec: Spec) -> None:
    best = best_flow(spec)
    plan = solve(spec, SolveOptions(method="helix-milp"))
    assert check_plan(plan) == ()
    assert plan.certificate.status.startswith(("MILP optimal", "optimal"))
    flow = int(plan.certificate.flow_tokens_per_s * 10**6)
    assert best * (1 - TOLERANCE) <= flow <= best


@st.composite
def small_specs(draw: st.DrawFn) -> Spec:
    """Up to four machines, which hold the model together."""
    layers = draw(st.integers(2, 5))
    kinds = draw(st.lists(tables, min_size=1, max_size=2))
    hosts = [
        host(f"h{i}", [f"d{draw(st.integers(0, len(kinds) - 1))}"])
        for i in range(draw(st.integers(2, 4)))
    ]
    profiles = [profile(f"d{i}", table) for i, table in enumerate(kinds)]
    return spec_of(tiny_model(layers), hosts, profiles=profiles)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(spec=small_specs().filter(lambda spec: best_flow(spec) > 0))
def test_what_it_proves_is_the_best_of_all_placements(spec: Spec) -> None:
    assert_proved_optimum_is_the_best(spec)


@pytest.mark.parametrize("bandwidth_tokens_per_s", [5, 60, 400])
def test_what_it_proves_is_the_best_where_links_bind(bandwidth_tokens_per_s: int) -> None:
    model = tiny_model(3)
    slow = bandwidth_tokens_per_s * model.hidden * model.dtype_bytes
    links = [link("a", "a"), link("b", "b"), link("a", "b", slow), link("b", "a", slow)]
    hosts = [host(f"h{i}", ["d0"], site="ab"[i // 2]) for i in range(4)]
    profiles = [profile("d0", [500, 240, 110])]
    assert_proved_optimum_is_the_best(spec_of(model, hosts, profiles=profiles, links=links))


def test_many_machines_keep_their_fastest_links() -> None:
    fast, slow = 10**9, 10**6
    links = [link("a", "a", fast), link("b", "b", fast), link("a", "b", slow), link("b", "a", slow)]
    hosts = [host(f"h{i:02d}", ["d0"], site="ab"[i // 20]) for i in range(40)]
    spec = spec_of(tiny_model(8), hosts, profiles=[profile("d0", [500])], links=links)
    kept = helix_links(spec, machines_of(build_problem(spec)))
    assert sum(found.source == OUTSIDE for found in kept) == HELIX_PARAMS.kept_links
    assert sum(found.target == OUTSIDE for found in kept) == HELIX_PARAMS.kept_links
    inner = [found for found in kept if OUTSIDE not in (found.source, found.target)]
    assert all(found.source // 20 == found.target // 20 for found in inner)
    for machine in range(40):
        assert sum(found.source == machine for found in inner) >= HELIX_PARAMS.kept_links
    assert {(f.source, f.target) for f in inner} == {(f.target, f.source) for f in inner}
