"""Replans against brute force, and what they may not touch."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import product
from pathlib import Path

import networkx as nx
import pytest
from support.clusters import device_type, host, link, profile, spec_of, tiny_model
from support.slow import few_are_fast
from support.weights import missing_bytes, pieces

from hexplan.check import check_plan
from hexplan.cluster import GroupPin, LayerPin
from hexplan.errors import InfeasibleError, InputError
from hexplan.field_types import Range
from hexplan.plan import Plan, SolveInfo, Stage
from hexplan.plan_file import plan_json
from hexplan.reading import read_spec
from hexplan.spec import Spec
from hexplan_solver import ReplanOptions, SolveOptions, solve
from hexplan_solver import replan as find_plan
from hexplan_solver.replan import HostOrDevice, Replanned, changed, without

SPECS = Path(__file__).parents[3] / "cluster_specs"
ROUTES_ONLY = ReplanOptions(routes_only=True)
Held = dict[tuple[str, int], dict[tuple[str, int, int], int]]


def solved(spec: Spec) -> Plan:
    plan = solve(spec, SolveOptions(time_limit_s=5))
    assert check_plan(plan) == ()
    return plan


def options(loss: str = "0.05") -> ReplanOptions:
    return ReplanOptions(max_loss=Decimal(loss), search=SolveOptions(time_limit_s=5))


def replanned(plan: Plan, gone: Sequence[HostOrDevice], settings: ReplanOptions) -> Replanned:
    spec = Spec(plan.cluster, plan.model, plan.workload)
    done = find_plan(plan, without(spec, gone), settings)
    assert [str(violation) for violation in check_plan(done.plan)] == []
    assert done.summary.moved_bytes == moved(plan, done.plan)
    assert done.summary.flow_tokens_per_s == done.plan.certificate.flow_tokens_per_s
    return done


def held_by(plan: Plan) -> Held:
    return {
        (stage.host, shard.device): pieces(
            plan.model, stage.layers, shard.kv_heads, shard.ffn, shard.vocab
        )
        for stage in plan.stages
        for shard in stage.shards
    }


def moved(before: Plan, after: Plan) -> int:
    """Count what moves, piece by piece."""
    old = held_by(before)
    new = held_by(after)
    return sum(missing_bytes(after.model, old.get(slot, {}), new[slot]) for slot in new)


def placed(plan: Plan) -> set[tuple[str, Range, tuple[object, ...]]]:
    return {(stage.host, stage.layers, stage.shards) for stage in plan.stages}


class TestRoutesOnly:
    """No weight moves; only edges and routes are new."""

    hosts = tuple(host(f"h{i}", ["d0"]) for i in range(6))
    spec = spec_of(tiny_model(4), hosts, profiles=[profile("d0", [90, 40, 25, 18])], time_s=5)

    def test_stages_that_survive_keep_layers_shards_and_devices(self) -> None:
        plan = solved(self.spec)
        gone = plan.stages[0].host
        done = replanned(plan, [(gone, None)], ROUTES_ONLY)
        assert placed(done.plan) == {stage for stage in placed(plan) if stage[0] != gone}
        assert done.summary.moved_bytes == 0
        assert [lost.host for lost in done.summary.gone] == [gone]

    def test_the_flow_is_the_largest_over_the_survivors(self) -> None:
        plan = solved(self.spec)
        for stage in plan.stages:
            left = [other for other in plan.stages if other.host != stage.host]
            expected = networkx_flow(left, plan.model.layers)
            if expected == 0:
                with pytest.raises(InfeasibleError):
                    replanned(plan, [(stage.host, None)], ROUTES_ONLY)
                continue
            done = replanned(plan, [(stage.host, None)], ROUTES_ONLY)
            assert done.summary.flow_tokens_per_s == expected

    def test_a_layer_without_a_holder_is_named_with_the_stage_that_held_it(self) -> None:
        hosts = [host(f"h{i}", ["d0"]) for i in range(2)]
        spec = spec_of(tiny_model(4), hosts, profiles=[profile("d0", [90, 40])])
        plan = solved(spec)
        gone = plan.stages[-1]
        with pytest.raises(InfeasibleError, match=r"holds layers \[2, 4\)") as caught:
            replanned(plan, [(gone.host, None)], ROUTES_ONLY)
        assert f"{gone.id} (host {gone.host} is gone)" in caught.value.message
        assert "--routes-only" in str(caught.value.hint)

    def test_layers_that_are_held_but_not_joined_are_infeasible(self) -> None:
        hosts = [host("a", ["d0"], "x"), host("b", ["d0"], "y")]
        pins = (LayerPin(host="a", layers=(0, 1)), LayerPin(host="b", layers=(1, 2)))
        spec = spec_of(tiny_model(2), hosts, profiles=[profile("d0", [9, 4])], layer_pins=pins)
        plan = solved(spec)
        apart = tuple(rule for rule in spec.cluster.links if rule.source == rule.target)
        cut_off = replace(spec, cluster=spec.cluster.model_copy(update={"links": apart}))
        with pytest.raises(InfeasibleError, match="no links join them"):
            find_plan(plan, changed(cut_off), ROUTES_ONLY)

    def test_one_dead_device_ends_its_whole_stage_and_no_other(self) -> None:
        hosts = [host("a", ["d0"] * 2), host("b", ["d0"] * 2)]
        rates = [profile("d0", [90, 40]), profile("d0", [150, 70], 2)]
        spec = spec_of(
            tiny_model(2),
            hosts,
            profiles=rates,
            group_pins=(GroupPin(host="a", devices=(0, 1)), GroupPin(host="b", devices=(0, 1))),
            layer_pins=(LayerPin(host="a", layers=(0, 2)), LayerPin(host="b", layers=(0, 2))),
        )
        plan = solved(spec)
        free = replace(spec, cluster=spec.cluster.model_copy(update={"layer_pins": ()}))
        done = find_plan(plan, without(free, [("a", 1)]), ROUTES_ONLY)
        assert check_plan(done.plan) == ()
        assert {stage.host for stage in done.plan.stages} == {"b"}
        assert "device 1 of a gone" in done.summary.gone[0].reason


def networkx_flow(stages: Sequence[Stage], num_layers: int) -> Decimal:
    """Return the largest flow over stages that nothing but their speed limits."""
    graph: nx.DiGraph[object] = nx.DiGraph()
    graph.add_nodes_from(["entry", "exit"])
    for stage in stages:
        graph.add_edge((stage.id, "in"), (stage.id, "out"), capacity=stage.capacity_tokens_per_s)
        if stage.layers[0] == 0:
            graph.add_edge("entry", (stage.id, "in"))
        if stage.layers[1] == num_layers:
            graph.add_edge((stage.id, "out"), "exit")
        for other in stages:
            if other.layers[0] <= stage.layers[1] < other.layers[1]:
                graph.add_edge((stage.id, "out"), (other.id, "in"))
    return Decimal(nx.maximum_flow_value(graph, "entry", "exit"))


class TestFewestBytes:
    """As few bytes as can be for the flow that is asked for."""

    @pytest.mark.parametrize("seed", few_are_fast(range(12), 1))
    def test_brute_force_over_all_placements_moves_no_fewer_bytes(self, seed: int) -> None:
        rng = random.Random(seed)
        layers = rng.choice([2, 3, 4])
        names = [rng.choice(["fast", "slow"]) for _ in range(4)]
        tables = {
            name: [scale * rate for rate in (96, 47, 30, 22)[: rng.randint(2, layers)]]
            for name, scale in (("fast", rng.choice([1.5, 2.0])), ("slow", 1.0))
        }
        spec = spec_of(
            tiny_model(layers),
            [host(f"h{i}", [name]) for i, name in enumerate(names)],
            profiles=[profile(name, table) for name, table in tables.items()],
        )
        plan = solved(spec)
        gone = rng.choice(plan.stages).host
        loss = rng.choice(["0", "0.1", "0.3"])
        hosts = [f"h{i}" for i in range(4) if f"h{i}" != gone]
        speeds = {f"h{i}": tables[name] for i, name in enumerate(names)}
        found = list(placements(plan, hosts, speeds))
        largest = max(flow for flow, _ in found)
        if largest == 0:
            with pytest.raises(InfeasibleError):
                replanned(plan, [(gone, None)], options(loss))
            return
        fewest = min(b for flow, b in found if flow >= largest * (1 - Decimal(loss)))
        done = replanned(plan, [(gone, None)], options(loss))
        assert done.summary.moved_bytes == fewest
        assert done.summary.flow_tokens_per_s >= largest * (1 - Decimal(loss))
        assert done.summary.moved_bytes_bound is not None
        assert done.summary.moved_bytes_bound <= fewest

    @pytest.mark.parametrize("seed", few_are_fast(range(6), 1))
    def test_hosts_of_several_devices_lose_no_more_than_allowed(self, seed: int) -> None:
        rng = random.Random(seed)
        hosts = [
            host(f"h{i}", rng.choices(["fast", "slow"], k=rng.randint(1, 4))) for i in range(4)
        ]
        types = [device_type("fast", speed=3 * 10**12), device_type("slow", 700_000)]
        plan = solved(spec_of(tiny_model(5, kv_heads=8), hosts, types=types))
        lost = rng.choice(plan.stages)
        slot: HostOrDevice = (lost.host, rng.choice([None, lost.devices[0]]))
        done = replanned(plan, [slot], options("0.1"))
        summary = done.summary
        assert summary.flow_fresh_tokens_per_s is not None
        assert summary.moved_bytes_fresh is not None
        allowed = summary.flow_fresh_tokens_per_s * Decimal("0.9")
        assert summary.flow_tokens_per_s >= allowed - Decimal("0.000001")
        assert (summary.moved_bytes_bound or 0) <= summary.moved_bytes <= summary.moved_bytes_fresh
        assert all((s.host, d) != slot for s in done.plan.stages for d in s.devices)
        assert slot[1] is not None or all(s.host != slot[0] for s in done.plan.stages)

    @pytest.mark.slow
    def test_the_published_cluster_without_one_t4_moves_five_layers(self) -> None:
        """Every layer weighs 1.59 GiB; no plan within the loss fetches less, by the MILP's dual."""
        plan = solved(read_spec(SPECS / "helix-single24-llama70b.yaml"))
        gone = next(stage.host for stage in plan.stages if stage.host.startswith("t4"))
        settings = ReplanOptions(search=SolveOptions(time_limit_s=20))
        summary = replanned(plan, [(gone, None)], settings).summary
        layers = sum(end - first for move in summary.hosts for first, end in move.fetched_layers)
        assert layers == 5
        assert summary.moved_bytes_bound is not None
        assert summary.moved_bytes <= summary.moved_bytes_bound * Decimal("1.00001")

    def test_an_unchanged_cluster_moves_nothing_and_loses_nothing(self) -> None:
        hosts = [host(f"h{i}", ["d0", "d0"]) for i in range(4)]
        rates = [profile("d0", [90, 40, 25, 18]), profile("d0", [150, 70, 45, 30], 2)]
        spec = spec_of(tiny_model(4), hosts, profiles=rates)
        plan = solved(spec)
        done = find_plan(plan, changed(spec), options("0"))
        assert done.summary.moved_bytes == 0
        assert done.plan.certificate.flow_tokens_per_s == plan.certificate.flow_tokens_per_s

    @pytest.mark.slow
    def test_a_new_host_is_used_where_its_flow_is_asked_for(self) -> None:
        rates = [profile("d0", [90, 40])]
        few = spec_of(tiny_model(2), [host(f"h{i}", ["d0"]) for i in range(2)], profiles=rates)
        more = spec_of(tiny_model(2), [host(f"h{i}", ["d0"]) for i in range(4)], profiles=rates)
        plan = solved(few)
        done = find_plan(plan, changed(more), options("0"))
        assert check_plan(done.plan) == ()
        assert done.plan.certificate.flow_tokens_per_s == 180
        assert {move.host for move in done.summary.hosts} == {"h2", "h3"}
        kept = find_plan(plan, changed(more), options("0.5"))
        assert kept.summary.moved_bytes == 0
        assert kept.plan.certificate.flow_tokens_per_s == 90

    def test_a_stage_that_only_gives_up_layers_moves_nothing(self) -> None:
        """Two hosts hold both layers; a third makes each hold one, which it has already."""
        rates = [profile("d0", [90, 20])]
        one = spec_of(
            tiny_model(2),
            [host("h0", ["d0"]), host("h1", ["d0"])],
            profiles=rates,
            layer_pins=(
                LayerPin(host="h0", layers=(0, 2)),
                LayerPin(host="h1", layers=(0, 2)),
            ),
        )
        plan = solved(one)
        assert plan.certificate.flow_tokens_per_s == 40
        free = replace(one, cluster=one.cluster.model_copy(update={"layer_pins": ()}))
        done = find_plan(plan, changed(free), options("0"))
        assert done.summary.moved_bytes == 0
        assert done.plan.certificate.flow_tokens_per_s == 90

    @pytest.mark.slow
    def test_like_devices_swap_so_that_shards_stay(self) -> None:
        """A fresh plan would put devices 0 and 1 together; a replan leaves them where they are."""
        tables = {1: [30, 10], 2: [150, 70], 3: [60, 40], 4: [160, 80]}
        rates = [profile("d0", table, tp) for tp, table in tables.items()]
        spec = spec_of(
            tiny_model(2),
            [host("a", ["d0"] * 4)],
            profiles=rates,
            group_pins=(GroupPin(host="a", devices=(1, 3)), GroupPin(host="a", devices=(0, 2))),
        )
        plan = solved(spec)
        free = replace(spec, cluster=spec.cluster.model_copy(update={"group_pins": ()}))
        assert {stage.devices for stage in solved(free).stages} == {(0, 1), (2, 3)}
        done = find_plan(plan, changed(free), options("0"))
        assert check_plan(done.plan) == ()
        assert placed(done.plan) == placed(plan)
        assert done.summary.moved_bytes == 0

    @pytest.mark.slow
    def test_pins_hold_after_a_loss(self) -> None:
        hosts = [host(f"h{i}", ["d0", "d0"]) for i in range(4)]
        rates = [profile("d0", [90, 40, 25, 18]), profile("d0", [150, 70, 45, 30], 2)]
        spec = spec_of(
            tiny_model(4),
            hosts,
            profiles=rates,
            layer_pins=(LayerPin(host="h1", layers=(1, 3)),),
            group_pins=(GroupPin(host="h2", devices=(0, 1)),),
        )
        plan = solved(spec)
        done = replanned(plan, [("h0", None)], options())
        assert {s.layers for s in done.plan.stages if s.host == "h1"} == {(1, 3)}
        assert {s.devices for s in done.plan.stages if s.host == "h2"} <= {(0, 1)}

    @pytest.mark.slow
    def test_pins_of_what_is_gone_are_dropped_and_told(self) -> None:
        hosts = [host(f"h{i}", ["d0", "d0", "d0"]) for i in range(3)]
        rates = [profile("d0", [90, 40]), profile("d0", [150, 70], 2), profile("d0", [160, 90], 3)]
        spec = spec_of(
            tiny_model(2, kv_heads=6),
            hosts,
            profiles=rates,
            layer_pins=(LayerPin(host="h1", layers=(0, 2)),),
            group_pins=(GroupPin(host="h2", devices=(0, 1, 2)),),
        )
        done = replanned(solved(spec), [("h1", None), ("h2", 1)], options())
        assert len(done.summary.notes) == 2
        assert "h1 to layers [0, 2] is dropped" in done.summary.notes[0]
        assert "is now of devices [0, 2]" in done.summary.notes[1]
        assert {s.devices for s in done.plan.stages if s.host == "h2"} <= {(0, 2)}

    @pytest.mark.slow
    def test_links_that_bind_are_counted(self) -> None:
        sites = ("x", "y")
        hosts = [host(f"{site}{i}", ["d0"], site) for site in sites for i in range(3)]
        slow = [link("x", "y", 3_000), link("y", "x", 3_000), link("x", "x"), link("y", "y")]
        spec = spec_of(tiny_model(4), hosts, profiles=[profile("d0", [90, 40, 25, 18])], links=slow)
        plan = solved(spec)
        done = replanned(plan, [("x1", None)], options("0.2"))
        fresh = done.summary.flow_fresh_tokens_per_s
        assert fresh is not None
        assert done.summary.flow_tokens_per_s >= fresh * Decimal("0.8") - Decimal("0.000001")

    def test_the_same_input_and_seed_give_the_same_bytes(self) -> None:
        hosts = [host(f"h{i}", ["d0"]) for i in range(5)]
        plan = solved(spec_of(tiny_model(4), hosts, profiles=[profile("d0", [90, 40, 25, 18])]))
        blank = SolveInfo(wall_s=0.0, seed=0, versions={})
        texts = {
            plan_json(
                replanned(plan, [("h1", None)], options()).plan.model_copy(update={"solve": blank})
            )
            for _ in range(2)
        }
        assert len(texts) == 1


def placements(
    plan: Plan, hosts: Sequence[str], speeds: dict[str, list[float]]
) -> Iterator[tuple[Decimal, int]]:
    """Yield the flow and the moved bytes of every placement of one-device hosts."""
    model, held = plan.model, held_by(plan)
    whole = ((0, model.kv_heads), (0, model.ffn), (0, model.vocab))
    choices: list[list[tuple[Range, float, int]]] = []
    for name in hosts:
        own: list[tuple[Range, float, int]] = [((0, 0), 0.0, 0)]
        for first in range(model.layers):
            for end in range(first + 1, min(model.layers, first + len(speeds[name])) + 1):
                new = pieces(model, (first, end), *whole)
                cost = missing_bytes(model, held.get((name, 0), {}), new)
                own.append(((first, end), speeds[name][end - first - 1], cost))
        choices.append(own)
    for chosen in product(*choices):
        flow = min(
            sum(rate for (first, end), rate, _ in chosen if first <= layer < end)
            for layer in range(model.layers)
        )
        yield Decimal(str(round(flow, 6))), sum(cost for _, _, cost in chosen)


class TestRefusals:
    """What cannot be replanned, and why."""

    spec = spec_of(
        tiny_model(2), [host(f"h{i}", ["d0"]) for i in range(2)], profiles=[profile("d0", [9, 4])]
    )

    def test_another_model_is_no_replan(self) -> None:
        other = replace(self.spec, model=tiny_model(3))
        with pytest.raises(InputError, match="another model"):
            find_plan(solved(self.spec), changed(other), options())

    @pytest.mark.parametrize("slot", [("h7", None), ("h1", 1)])
    def test_what_was_never_there_cannot_be_gone(self, slot: HostOrDevice) -> None:
        with pytest.raises(InputError, match="--without"):
            without(self.spec, [slot])

    def test_a_loss_of_everything_is_infeasible(self) -> None:
        with pytest.raises(InfeasibleError):
            replanned(solved(self.spec), [("h0", None), ("h1", None)], options())

    def test_a_longer_prompt_can_end_a_stage(self) -> None:
        small = device_type("d0", memory_bytes=2_000_000)
        spec = spec_of(tiny_model(2), [host("h0", ["d0"]), host("h1", ["d0"])], types=[small])
        plan = solved(spec)
        longer = spec.workload.prompt_tokens.model_copy(update={"max": 10**6})
        workload = spec.workload.model_copy(update={"prompt_tokens": longer})
        with pytest.raises(InfeasibleError, match="no room for the longest request"):
            find_plan(plan, changed(replace(spec, workload=workload)), ROUTES_ONLY)
