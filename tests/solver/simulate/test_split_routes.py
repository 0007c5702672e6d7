"""Which routes prompts and decodes take, where the stages of a plan are divided."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import pytest
from support.clusters import FAST, host, link, profile, spec_of, tiny_model
from support.plan_parts import link as plan_link
from support.plans import profiled_plan, resealed, two_hosts_plan

from hexplan.errors import InputError
from hexplan.plan import Phase
from hexplan.spec import Spec
from hexplan_solver.flow.network import OUTSIDE, Network, build_network
from hexplan_solver.placement.placement import PlacedStage
from hexplan_solver.problem.problem import build_problem
from hexplan_solver.simulate import (
    CHUNKED,
    FixedLengths,
    PipelineModel,
    Poisson,
    Window,
    pipeline_of_plan,
    pipeline_of_split_placement,
    pipeline_of_split_plan,
    simulate,
)
from hexplan_solver.simulate.pipeline_model import KvMove, kv_moves

BOTH: Phase = "both"
PREFILL: Phase = "prefill"
DECODE: Phase = "decode"


def chains(pipeline: PipelineModel) -> list[tuple[tuple[int, ...], tuple[int, ...] | None, int]]:
    return [(route.stages, route.decode_stages, route.weight) for route in pipeline.routes]


def test_layers_move_from_where_they_are_prefilled_to_where_they_are_decoded() -> None:
    """[0, 3) and [3, 5), entered at 3, prefill; [0, 2) and, entered at 2, [1, 5) decode."""
    layers = [(0, 3), (2, 5), (0, 2), (1, 5)]
    assert list(kv_moves(layers, (0, 1), (2, 3))) == [
        KvMove(0, 2, (0, 2)),
        KvMove(0, 3, (2, 3)),
        KvMove(1, 3, (3, 5)),
    ]


def test_what_the_same_stage_decodes_stays_where_it_is() -> None:
    assert list(kv_moves([(0, 3), (3, 5), (3, 5)], (0, 1), (0, 2))) == [KvMove(1, 2, (3, 5))]


def test_a_plan_of_two_chains_is_split_into_one_for_each_phase() -> None:
    """s0 and s2 prefill [0, 2) and [2, 6); s1 and s3 decode [0, 4) and [4, 6)."""
    pipeline = pipeline_of_split_plan(profiled_plan(), (PREFILL, DECODE, PREFILL, DECODE))
    assert chains(pipeline) == [((0, 2), (1, 3), 10**9)]
    assert {(edge.source, edge.target) for edge in pipeline.edges} == {
        *((OUTSIDE, 0), (0, 2), (2, OUTSIDE)),
        *((OUTSIDE, 1), (1, 3), (3, OUTSIDE)),
    }
    assert [(edge.source, edge.target) for edge in pipeline.kv_edges] == [(0, 1), (2, 1), (2, 3)]
    # 2 * 4 KV heads * width 8 * 2 bytes
    assert {edge.token_bytes for edge in pipeline.kv_edges} == {128}
    assert [stage.phase for stage in pipeline.stages] == [PREFILL, DECODE, PREFILL, DECODE]


def test_stages_keep_their_layers_and_their_room() -> None:
    plan = profiled_plan()
    whole = pipeline_of_plan(plan)
    split = pipeline_of_split_plan(plan, (PREFILL, DECODE, PREFILL, DECODE))
    for stage, before in zip(split.stages, whole.stages, strict=True):
        assert replace(stage, phase=BOTH, steps=before.steps) == before


def test_a_stage_may_serve_both() -> None:
    pipeline = pipeline_of_split_plan(two_hosts_plan(), (BOTH, PREFILL, DECODE))
    assert chains(pipeline) == [((0, 1), (0, 2), 10**9)]
    assert [(edge.source, edge.target) for edge in pipeline.kv_edges] == [(1, 2)]


def four(allow: Literal["all", "tokens"] = "all") -> Spec:
    """Two sites of two hosts, each with the whole model; from site to site the links are slower."""
    hosts = [host(f"{site}{n}", ["fast"], site) for site in ("east", "west") for n in range(2)]
    links = [link(site, site) for site in ("east", "west")]
    for ends in (("east", "west"), ("west", "east")):
        links.append(link(*ends, FAST // 1000).model_copy(update={"allow": allow}))
    return spec_of(tiny_model(2), hosts, profiles=[profile("fast", [30, 20])], links=links)


def network_of(spec: Spec) -> Network:
    stages = [PlacedStage((0, 2), h.name, (0,), 0, 20_000_000) for h in spec.cluster.hosts]
    return build_network(spec, stages)


def test_routes_are_paired_so_that_kv_stays_on_its_site() -> None:
    spec = four()
    pipeline = pipeline_of_split_placement(
        build_problem(spec), network_of(spec), (PREFILL, DECODE, DECODE, PREFILL)
    )
    assert chains(pipeline) == [((0,), (1,), 5 * 10**8), ((3,), (2,), 5 * 10**8)]
    traffic = Poisson(1.0, FixedLengths(8, 4))
    outcome = simulate(pipeline, traffic, CHUNKED, Window(50.0, 5.0))
    assert outcome.finished > 30
    assert [use.phase for use in outcome.stages] == [PREFILL, DECODE, DECODE, PREFILL]


def test_routes_of_unlike_shares_are_paired_by_parts() -> None:
    spec = four()
    pipeline = pipeline_of_split_placement(
        build_problem(spec), network_of(spec), (PREFILL, DECODE, DECODE, DECODE)
    )
    weights = {decode: weight for _, decode, weight in chains(pipeline)}
    assert sum(weights.values()) == 10**9
    assert max(weights.values()) - min(weights.values()) <= 1


@pytest.mark.parametrize(
    ("phases", "told"),
    [
        ((PREFILL, PREFILL, PREFILL), "decode stages .none.: found no layer 0"),  # none is left
        ((DECODE, PREFILL, DECODE), "prefill stages s1:"),  # and names who was meant
        ((DECODE, PREFILL, DECODE), "found no layer 0"),  # what is missing at the start
        ((PREFILL, DECODE, PREFILL), "decode stages s1:"),  # the other phase
        ((BOTH, DECODE, DECODE), "found no layer 4"),  # what is missing at the end
    ],
)
def test_stages_that_form_no_route_are_refused(phases: tuple[Phase, ...], told: str) -> None:
    with pytest.raises(InputError, match=told) as error:
        pipeline_of_split_plan(two_hosts_plan(), phases)
    assert error.value.hint is not None


def test_stages_without_links_between_them_are_refused() -> None:
    """s0 on host a holds [0, 2) and s2 on c [2, 6), but no link joins a and c any more."""
    plan = profiled_plan()
    pairs = [(x, y) for x in "abcd" for y in "abcd" if {x, y} not in ({x}, {"a", "c"})]
    lab = [plan_link("lab", "coordinator"), plan_link("coordinator", "lab")]
    apart = resealed(plan, links=(*lab, *(plan_link(*pair) for pair in pairs)))
    with pytest.raises(InputError, match="no links that join them"):
        pipeline_of_split_plan(apart, (PREFILL, DECODE, PREFILL, DECODE))


def test_routes_whose_kv_cannot_move_are_refused() -> None:
    """All that decode are in the west, and nothing but tokens may pass to there."""
    spec = four(allow="tokens")
    with pytest.raises(InputError, match="prefill route s0: found no links"):
        pipeline_of_split_placement(
            build_problem(spec), network_of(spec), (PREFILL, PREFILL, DECODE, DECODE)
        )
