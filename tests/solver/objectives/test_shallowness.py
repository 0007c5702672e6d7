"""The order of placements by depth."""

from __future__ import annotations

from decimal import Decimal

from support.clusters import device_type, host, link, profile, spec_of, tiny_model

from hexplan_solver.flow.evaluate import Evaluated, evaluate
from hexplan_solver.objectives.shallowness import Shallowness
from hexplan_solver.placement.placement import PlacedStage
from hexplan_solver.problem.problem import Problem, build_problem
from hexplan_solver.start.shallow import shallow_placements


def two_kinds() -> Problem:
    """Two hosts that hold the model of four layers alone, and two that hold half of it."""
    spec = spec_of(
        tiny_model(4),
        [host("a", ["big"]), host("b", ["big"]), host("c", ["small"]), host("d", ["small"])],
        types=[
            device_type("big", memory_bytes=10**7, speed=10**8),
            device_type("small", memory_bytes=10**7, speed=10**8),
        ],
        profiles=[profile("big", [100, 50, 30, 20]), profile("small", [100, 50])],
        links=[link("here", "here", 10**9).model_copy(update={"latency_s": Decimal("0.001")})],
    )
    return build_problem(spec)


def placed(problem: Problem, *stages: tuple[str, int, int]) -> Evaluated:
    names = {host: c for c, one in enumerate(problem.classes) for host in one.hosts}
    kinds = {kind.host_class: kind for kind in problem.kinds}
    made = [
        PlacedStage(
            (first, end),
            name,
            (0,),
            kinds[names[name]].index,
            kinds[names[name]].rates.of(first, end),
        )
        for name, first, end in stages
    ]
    return evaluate(problem, sorted(made))


def test_fewer_hops_come_first_then_fewer_hosts() -> None:
    problem = two_kinds()
    alone = Shallowness.of(placed(problem, ("a", 0, 4)))
    both = Shallowness.of(placed(problem, ("a", 0, 4), ("b", 0, 4)))
    chain = Shallowness.of(placed(problem, ("c", 0, 2), ("d", 2, 4)))
    assert alone < both < chain
    assert (alone.hops, both.hops, chain.hops) == (1, 1, 2)
    assert (alone.num_hosts, both.num_hosts, chain.num_hosts) == (1, 2, 2)


def test_more_kv_room_is_shallower_where_hops_and_hosts_are_equal() -> None:
    problem = two_kinds()
    # The same host over more layers leaves less room for the KV cache of each.
    one = Shallowness.of(placed(problem, ("a", 0, 2), ("b", 2, 4)))
    other = Shallowness.of(placed(problem, ("a", 0, 2), ("b", 2, 4), ("c", 0, 2), ("d", 2, 4)))
    assert one < other
    assert other.lacking_kv < one.lacking_kv < 0


def test_the_first_shallow_placement_is_one_host_that_holds_the_model() -> None:
    first, every = shallow_placements(two_kinds())
    assert [(stage.host, stage.layers) for stage in first] == [("a", (0, 4))]
    assert {stage.host for stage in every} == {"a", "b", "c", "d"}
    assert sorted(stage.layers for stage in every) == [(0, 2), (0, 4), (0, 4), (2, 4)]
