"""Arranging a placement for its links."""

from __future__ import annotations

from support.clusters import host, link, profile, spec_of, tiny_model

from hexplan.spec import Spec
from hexplan_solver.flow.max_flow import max_flow
from hexplan_solver.flow.network import build_network
from hexplan_solver.links.arrange import ArrangeOptions, arrange
from hexplan_solver.links.placed_segments import placed_segments
from hexplan_solver.placement.placement import PlacedStage
from hexplan_solver.problem.problem import Problem, build_problem

LAYERS = 6


def two_sites(crossing_tokens_per_s: int) -> Spec:
    """Four hosts, two to a site; each passes 1000 tokens/s with one layer and 400 with two."""
    model = tiny_model(LAYERS)
    slow = crossing_tokens_per_s * model.hidden * model.dtype_bytes
    links = [link("a", "a"), link("b", "b"), link("a", "b", slow), link("b", "a", slow)]
    hosts = [host(f"h{i}", ["d0"], site="ab"[i % 2]) for i in range(6)]
    return spec_of(model, hosts, profiles=[profile("d0", [1000, 400])], links=links)


def placed(problem: Problem, places: list[tuple[str, int, int]]) -> list[PlacedStage]:
    kinds = {h: k for k in problem.kinds for h in problem.classes[k.host_class].hosts}
    return [
        PlacedStage((first, end), name, (0,), kinds[name].index, kinds[name].rates.of(first, end))
        for name, first, end in places
    ]


def test_segments_are_cut_where_no_stage_crosses() -> None:
    problem = build_problem(two_sites(10))
    stages = placed(problem, [("h0", 0, 2), ("h1", 1, 3), ("h2", 3, 4), ("h3", 3, 4), ("h4", 4, 6)])
    assert [sorted(s.host for s in segment.stages) for segment in placed_segments(stages)] == [
        ["h0", "h1"],
        ["h2", "h3"],
        ["h4"],
    ]


def test_a_chain_that_changes_site_at_every_layer_comes_to_cross_once() -> None:
    spec = two_sites(600)
    problem = build_problem(spec)
    chain = placed(problem, [(f"h{i}", i, i + 1) for i in range(6)])
    arranged = arrange(problem, chain, 10**9, ArrangeOptions(seed=0))
    sites = [spec.cluster.site_of(s.host) for s in sorted(arranged)]
    assert sum(a != b for a, b in zip(sites, sites[1:], strict=False)) == 1
    assert sorted(s.host for s in arranged) == sorted(s.host for s in chain)


def test_a_segment_of_two_stages_is_put_where_single_stages_would_share_a_slow_link() -> None:
    """Two stages with two layers pass 800 together, over two slow links of 500 each."""
    spec = two_sites(500)
    problem = build_problem(spec)
    stages = placed(
        problem,
        [("h0", 0, 1), ("h1", 1, 2), ("h2", 2, 3), ("h3", 3, 4), ("h4", 4, 6), ("h5", 4, 6)],
    )
    before = max_flow(build_network(spec, stages)).value
    after = max_flow(
        build_network(spec, arrange(problem, stages, 8 * 10**8, ArrangeOptions(seed=0)))
    ).value
    assert (before, after) == (500 * 10**6, 800 * 10**6)


def test_the_same_seed_gives_the_same_arrangement() -> None:
    problem = build_problem(two_sites(500))
    chain = placed(problem, [(f"h{i}", i, i + 1) for i in range(6)])
    first, second = (arrange(problem, chain, 10**9, ArrangeOptions(seed=3)) for _ in range(2))
    assert first == second
