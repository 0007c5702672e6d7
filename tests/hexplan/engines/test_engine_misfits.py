"""What engines cannot run of plans made by hand, place by place."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.broken_engines import CHAIN, PAIRS
from support.changes import change_plan, change_route, change_stage
from support.plans import mixed_stage_plan, profiled_plan, two_hosts_plan, two_sites_plan

from hexplan.catalog.weight_formats import known_formats
from hexplan.engines import ENGINES, HEXPLAN, LLAMACPP, VLLM, Misfit, misfits, replicas_of
from hexplan.engines.known import GGUF_FORMATS
from hexplan.plan import Hop, Plan

PLANS = (two_hosts_plan, profiled_plan, two_sites_plan, mixed_stage_plan)


@pytest.mark.parametrize("made", PLANS)
def test_our_own_runtime_runs_every_plan(made: object) -> None:
    assert callable(made)
    assert misfits(made(), HEXPLAN) == ()


def test_every_engine_says_its_version_and_where_that_was_read() -> None:
    for name, engine in ENGINES.items():
        assert engine.name == name
        assert engine.version
        assert engine.source


def test_a_misfit_says_what_was_found_what_is_needed_and_what_would_help() -> None:
    first, *others = misfits(two_hosts_plan(), VLLM)
    assert first == Misfit(
        first.kind,
        "stage s0",
        "it is in 2 routes",
        "one, as a replica shares no stage",
        "solve with `limits: {engine: vllm}`",
    )
    assert {misfit.where for misfit in others} == {"route 0", "route 1"}


def test_ranks_are_counted_by_machine_stage_after_stage() -> None:
    (replica,) = replicas_of(PAIRS)
    assert [(rank.machine, rank.device) for rank in replica.ranks] == [
        *(("h0", 0), ("h0", 1), ("h1", 0), ("h1", 1))
    ]
    assert replica.ranks_by_machine == {"h0": 2, "h1": 2}
    assert replica.machines == ("h0", "h1")


def test_llama_cpp_runs_a_chain_whose_middle_is_on_the_main_host() -> None:
    # h0, h1, h2: the last is the main host, and nothing passes it between the first two.
    assert [misfit.where for misfit in misfits(CHAIN, LLAMACPP)] == ["route 0"]
    assert misfits(PAIRS, LLAMACPP) == ()


def test_the_gguf_formats_are_formats_of_the_catalog() -> None:
    assert set(GGUF_FORMATS) < set(known_formats())


@settings(max_examples=30)
@given(st.sampled_from(PLANS), st.sampled_from(list(ENGINES)), st.data())
def test_a_plan_that_does_not_hold_together_is_looked_at_all_the_same(
    made: object, engine: str, data: st.DataObject
) -> None:
    assert callable(made)
    plan: Plan = made()
    number = data.draw(st.integers(0, len(plan.stages) - 1))
    hops = data.draw(st.lists(st.sampled_from(["s0", "s1", "s9"]), max_size=4))
    plan = change_stage(plan, number, host=data.draw(st.sampled_from(["big", "nowhere"])))
    plan = change_route(plan, 0, hops=tuple(Hop(stage=name, enter_layer=0) for name in hops))
    plan = change_plan(plan, unused=())
    found = misfits(plan, ENGINES[engine])  # type: ignore[index]
    assert all(misfit.sentence for misfit in found)
    assert len(set(found)) == len(found)
