"""Why no plan exists: proved, true, and with nothing named that is not needed."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.brute_pins import has_plan
from support.clusters import device_type, host, link, profile, spec_of, tiny_model

from hexplan.cluster import Coordinator, Exclusion, GroupPin, LayerPin, Limits, Link
from hexplan.errors import InfeasibleError
from hexplan.spec import Spec
from hexplan.workload import Lengths, Workload
from hexplan_solver import SolveOptions, solve
from hexplan_solver.infeasible import explain_infeasible
from hexplan_solver.infeasible.most_layers import hold_most_layers
from hexplan_solver.infeasible.requirements import requirements_of, without_all
from hexplan_solver.placement.naming import place
from hexplan_solver.placement.stage_counts import least_coverage
from hexplan_solver.problem.problem import build_problem

ONE = profile("d0", [90, 40])
TWO = profile("d0", [150, 70, 45], 2)


def explained(spec: Spec) -> InfeasibleError:
    reason = explain_infeasible(spec)
    assert reason is not None
    assert reason.exit_code == 3
    return reason


def test_a_spec_that_has_a_plan_has_no_reason_against_one() -> None:
    assert explain_infeasible(spec_of(tiny_model(2), [host("a", ["d0"])], profiles=[ONE])) is None


def test_only_the_pins_that_clash_are_named() -> None:
    """Hosts a and b must hold layer 0; c alone cannot hold the other three."""
    spec = spec_of(
        tiny_model(4),
        [host(name, ["d0"]) for name in "abcd"],
        profiles=[ONE],
        layer_pins=(LayerPin(host="a", layers=(0, 1)), LayerPin(host="b", layers=(0, 1))),
        exclusions=(Exclusion(host="d"),),
    )
    reason = explained(spec)
    for words in ("the exclusion of d", "the pin of a to layers [0, 1]", "the pin of b"):
        assert words in reason.message
    assert "longest request" not in reason.message
    assert "memory_fraction" not in reason.message


def test_an_exclusion_alone_is_named_alone() -> None:
    spec = spec_of(
        tiny_model(4),
        [host(name, ["d0"]) for name in "ab"],
        profiles=[ONE],
        exclusions=(Exclusion(host="b"),),
        layer_pins=(LayerPin(host="a", layers=(0, 2)),),
    )
    reason = explained(spec)
    assert "the exclusion of b" in reason.message
    assert "short by 2 layers" in reason.message
    assert "pin of a" not in reason.message


def test_a_policy_that_parts_the_sites_is_named() -> None:
    links = [link(a, b) for a in ("x", "y") for b in ("x", "y")]
    shut = [
        rule.model_copy(update={"allow": "tokens"}) if rule.source != rule.target else rule
        for rule in links
    ]
    hosts = [host("a", ["d0"], "x"), host("b", ["d0"], "y")]
    spec = spec_of(tiny_model(4), hosts, profiles=[ONE], links=shut)
    reason = explained(spec)
    told, *parts = reason.message.splitlines()
    expected = "no plan exists under `allow: tokens` between x and y: a request can pass only"
    assert told == expected
    assert ["in x, which hold 2 layers, short by 2" in part for part in parts] == [True, False]
    assert "in y, which hold 2 layers, short by 2" in parts[1]
    with pytest.raises(InfeasibleError, match="between x and y"):
        solve(spec, SolveOptions(time_limit_s=1))
    assert explain_infeasible(spec_of(tiny_model(4), hosts, profiles=[ONE], links=links)) is None


def test_links_that_are_missing_are_told_with_what_each_part_holds() -> None:
    spec = spec_of(
        tiny_model(4),
        [host("a", ["d0"], "x"), host("b", ["d0"], "y"), host("c", ["d0"], "y")],
        profiles=[ONE],
        links=[link("x", "x"), link("coordinator", "y"), link("y", "coordinator")],
    )
    reason = explained(spec)
    assert "the links do not join hosts that hold all 4 layers together" in reason.message
    assert "1 of 3 hosts, in x, which hold 2 layers" in reason.message
    assert "links" in str(reason.hint)


def test_one_way_links_that_lead_nowhere_are_told() -> None:
    spec = spec_of(
        tiny_model(2),
        [host("a", ["d0"], "x"), host("b", ["d0"], "y")],
        profiles=[ONE],
        links=[link("coordinator", "x"), link("y", "coordinator")],
    )
    assert "no host has a link from the coordinator" in explained(spec).message


@pytest.mark.parametrize("num_hosts", [1, 40])
def test_hosts_too_small_for_the_end_that_the_coordinator_is_joined_to_are_told(
    num_hosts: int,
) -> None:
    """Site x has room for a layer, but not for the embedding beside it; y holds any layer."""
    model = tiny_model(12).model_copy(update={"vocab": 20_000})
    small = device_type("small", memory_bytes=1_800_000)
    large = device_type("large", memory_bytes=200_000_000)
    hosts = [host(f"x{i}", ["small"], "x") for i in range(num_hosts)]
    hosts.append(host("y0", ["large"], "y"))
    apart = Coordinator(site="z", nic_in_bytes_per_s=10**9, nic_out_bytes_per_s=10**9)
    joined = [link(a, b) for a in "xy" for b in "xy"]
    into_x = [link("coordinator", "x"), link("y", "coordinator")]
    out_of_x = [link("coordinator", "y"), link("x", "coordinator")]

    def spec(ends: list[Link]) -> Spec:
        links = [*joined, *ends]
        return spec_of(model, hosts, types=[small, large], links=links, coordinator=apart)

    assert "alone, where no host can hold the first layer" in explained(spec(into_x)).message
    assert "alone, where no host can hold the last layer" in explained(spec(out_of_x)).message
    both = [*into_x, *out_of_x]
    assert explain_infeasible(spec(both)) is None
    with pytest.raises(InfeasibleError, match="the first layer"):
        solve(spec(into_x), SolveOptions(time_limit_s=1))


def test_memory_is_told_with_the_sum_and_how_many_more_hosts_would_do() -> None:
    small = device_type("small", memory_bytes=2_000_000)
    hosts = [host(f"h{i}", ["small"]) for i in range(2)]
    reason = explained(spec_of(tiny_model(60), hosts, types=[small]))
    assert "all hosts together hold" in reason.message
    assert "GiB of float16 weights" in reason.message
    count = int(str(reason.hint).split()[1])
    assert f"add {count} more like h0" in str(reason.hint)
    enough = [host(f"h{i}", ["small"]) for i in range(2 + count)]
    too_few = enough[:-1]
    bare = Limits(memory_fraction=Decimal("0.9"), chunk_tokens=64)
    assert explain_infeasible(spec_of(tiny_model(60), enough, types=[small], limits=bare)) is None
    assert explain_infeasible(spec_of(tiny_model(60), too_few, types=[small], limits=bare))


def fraction_spec(fraction: str) -> Spec:
    small = device_type("small", memory_bytes=2_000_000)
    limits = Limits(memory_fraction=Decimal(fraction), chunk_tokens=64)
    return spec_of(tiny_model(13), [host("h", ["small"])], types=[small], limits=limits)


def test_a_memory_fraction_that_would_do_is_found() -> None:
    reason = explained(fraction_spec("0.3"))
    assert "short by" in reason.message
    value = str(reason.hint).rpartition("memory_fraction: ")[2].strip("`")
    assert explain_infeasible(fraction_spec(value)) is None
    assert explain_infeasible(fraction_spec(str(Decimal(value) - Decimal("0.015")))) is not None


def test_requests_that_are_too_long_for_the_cache_are_told_with_a_length_that_fits() -> None:
    small = device_type("small", memory_bytes=2_000_000)
    spec = spec_of(tiny_model(3), [host("h", ["small"])], types=[small])

    def asking(tokens: int) -> Spec:
        lengths = Lengths(mean=8, max=tokens)
        return replace(spec, workload=Workload(prompt_tokens=lengths, output_tokens=lengths))

    reason = explained(asking(4000))
    assert "requests of at most" in str(reason.hint)
    most = int(str(reason.hint).rpartition("at most ")[2].split()[0])
    assert explain_infeasible(asking(most // 2)) is None
    assert explain_infeasible(asking(most // 2 + 60)) is not None


SITES = ("x", "y")


@st.composite
def demanding_specs(draw: st.DrawFn) -> Spec:
    """Three hosts of four devices at most on two sites, with pins, exclusions and policies."""
    layers = draw(st.integers(3, 4))
    wide = draw(st.sampled_from([None, 0, 1, 2]))
    hosts = [
        host(f"h{i}", ["d0"] * (2 if i == wide else 1), draw(st.sampled_from(SITES)))
        for i in range(3)
    ]
    rules = [
        link(a, b).model_copy(update={"allow": draw(st.sampled_from(["all", "tokens", "none"]))})
        for a in SITES
        for b in SITES
    ]
    names = st.sampled_from([h.name for h in hosts])
    layer_pins = {
        pin.host: pin
        for pin in draw(
            st.lists(
                st.builds(
                    lambda name, first, size: LayerPin(
                        host=name, layers=(first, min(layers, first + size))
                    ),
                    names,
                    st.integers(0, layers - 1),
                    st.integers(1, 3),
                ),
                max_size=2,
            )
        )
    }
    pairs = [h.name for h in hosts if len(h.devices) > 1]
    tied = draw(st.lists(st.sampled_from(pairs), unique=True, max_size=1)) if pairs else []
    kept = set(layer_pins) | set(tied)
    excluded = [n for n in draw(st.lists(names, unique=True, max_size=1)) if n not in kept]
    return spec_of(
        tiny_model(layers),
        hosts,
        profiles=[ONE, TWO],
        links=rules,
        layer_pins=tuple(layer_pins.values()),
        group_pins=tuple(GroupPin(host=name, devices=(0, 1)) for name in tied),
        exclusions=tuple(Exclusion(host=name) for name in excluded),
    )


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(spec=demanding_specs())
def test_a_reason_is_given_exactly_if_no_placement_exists_and_it_is_minimal(
    spec: Spec,
) -> None:
    reason = explain_infeasible(spec)
    assert (reason is None) == has_plan(spec)
    if reason is None:
        return
    requirements = requirements_of(spec)
    named = [r for r in requirements if r.words in reason.message]
    alone = without_all(spec, [r for r in requirements if r not in named])
    assert not has_plan(alone)
    for requirement in named:
        assert has_plan(requirement.drop(alone)), requirement.words


def test_the_most_layers_under_pins_make_a_placement_of_every_layer() -> None:
    spec = spec_of(
        tiny_model(6),
        [host(f"h{i}", ["d0", "d0"]) for i in range(3)],
        profiles=[ONE, TWO],
        layer_pins=(LayerPin(host="h1", layers=(2, 4)),),
    )
    problem = build_problem(spec)
    found = hold_most_layers(problem, SolveOptions())
    assert found.bound == pytest.approx(6)
    assert least_coverage(problem, found.counts.stages) > 0
    placed = place(problem, found.counts)
    assert {stage.layers for stage in placed if stage.host == "h1"} == {(2, 4)}
