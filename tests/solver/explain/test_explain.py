"""Each reason against something found in another way: a new solve, networkx, a closed form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import networkx as nx
import pytest
from support.clusters import FAST, device_type, host, link, profile, spec_of, tiny_model
from support.forged import stating

from hexplan.bound_proof import CoordinatorProof
from hexplan.check import check_plan
from hexplan.cluster import Exclusion, GroupPin, LayerPin
from hexplan.plan import Plan
from hexplan.reading import parse_spec, read_spec
from hexplan.results.explanation import Degree, Explanation
from hexplan.spec import Spec
from hexplan_solver import SolveOptions, explain, solve

SPECS = Path(__file__).parents[3] / "cluster_specs"
SINGLE = SPECS / "helix-single24-llama70b.yaml"
SEARCH = SolveOptions(time_limit_s=2)


def solved(spec: Spec) -> Plan:
    plan = solve(spec, SolveOptions(time_limit_s=5))
    assert [str(violation) for violation in check_plan(plan)] == []
    return plan


def explained(plan: Plan, search: SolveOptions | None = None) -> Explanation:
    explanation = explain(plan, search)
    for gain in explanation.gains:
        assert (gain.found_tokens_per_s or 0) <= gain.at_most_tokens_per_s
    parts = sum((part.tokens_per_s for part in explanation.gap_parts), Decimal(0))
    assert parts == explanation.bound_tokens_per_s - explanation.flow_tokens_per_s
    return explanation


def networkx_flow(plan: Plan, faster: str = "") -> Decimal:
    """Return the largest flow over a plan's stages, one of which may be twice as fast."""
    graph: nx.DiGraph[object] = nx.DiGraph()
    for stage in plan.stages:
        factor = 2 if stage.id == faster else 1
        capacity = int(stage.capacity_tokens_per_s * 10**6) * factor
        graph.add_edge((stage.id, "in"), (stage.id, "out"), capacity=capacity)
        if stage.layers[0] == 0:
            graph.add_edge("entry", (stage.id, "in"))
        if stage.layers[1] == plan.model.layers:
            graph.add_edge((stage.id, "out"), "exit")
        for other in plan.stages:
            if other.layers[0] <= stage.layers[1] < other.layers[1]:
                graph.add_edge((stage.id, "out"), (other.id, "in"))
    return Decimal(int(nx.maximum_flow_value(graph, "entry", "exit"))).scaleb(-6)


class TestMore:
    """What one more machine brings."""

    @pytest.mark.slow
    def test_one_more_host_brings_what_a_solve_of_the_larger_spec_finds(self) -> None:
        plan = solved(read_spec(SINGLE))
        gains = {gain.change: gain for gain in explained(plan, SEARCH).gains}
        text = SINGLE.read_text()
        line = '  - {name: "t4-[1-2]", site: cluster, devices: T4, nic: 10GB/s}\n'
        assert text.count(line) == 1
        extra = line + line.replace("t4-[1-2]", "another")
        larger = solved(parse_spec(text.replace(line, extra), SINGLE))
        found = larger.certificate.flow_tokens_per_s - plan.certificate.flow_tokens_per_s
        gain = gains["one more host like t4-1 (1 x T4)"]
        assert gain.how == "re-solve"
        assert gain.found_tokens_per_s == pytest.approx(max(Decimal(0), found), abs=Decimal(3))
        assert found <= gain.at_most_tokens_per_s

    def test_on_two_layers_every_gain_is_known(self) -> None:
        """Hosts of one layer each at 90 tokens/s: 3 of them pass 90, 4 pass 180, 5 pass 180."""
        spec = spec_of(
            tiny_model(2),
            [host(f"h{i}", ["d0"]) for i in range(3)],
            profiles=[profile("d0", [90])],
        )
        plan = solved(spec)
        assert plan.certificate.flow_tokens_per_s == 90
        (gain,) = explained(plan, SEARCH).gains
        assert gain.found_tokens_per_s == 90
        four = spec_of(
            tiny_model(2),
            [host(f"h{i}", ["d0"]) for i in range(4)],
            profiles=[profile("d0", [90])],
        )
        (gain,) = explained(solved(four), SEARCH).gains
        assert gain.found_tokens_per_s == 0
        assert gain.at_most_tokens_per_s < 90

    def test_one_more_device_is_told_for_hosts_of_several(self) -> None:
        spec = spec_of(
            tiny_model(2),
            [host("h", ["d0", "d0"])],
            profiles=[profile("d0", [90, 40])],
            group_pins=(GroupPin(host="h", devices=(0,)),),
        )
        changes = {gain.change: gain for gain in explained(solved(spec), SEARCH).gains}
        assert set(changes) == {
            "one more host like h (2 x d0)",
            "one more d0 in h (2 x d0)",
        }

    def test_quick_bounds_are_never_below_what_a_search_finds(self) -> None:
        hosts = [host(f"h{i}", [name]) for i, name in enumerate(["d0", "d1", "d1"])]
        tables = {"d0": [90, 40, 25], "d1": [120, 66, 41]}
        rates = [profile(name, table) for name, table in tables.items()]
        plan = solved(spec_of(tiny_model(3), hosts, profiles=rates))
        quick = explained(plan)
        assert all(gain.found_tokens_per_s is None for gain in quick.gains)
        searched = {gain.change: gain for gain in explained(plan, SEARCH).gains}
        for gain in quick.gains:
            found = searched[gain.change].found_tokens_per_s
            assert found is not None
            assert found <= gain.at_most_tokens_per_s

    def test_a_new_host_is_linked_as_its_like_where_links_name_hosts(self) -> None:
        """Of three hosts one is too few for a second pair; the fourth must reach all others."""
        ends = ("a", "b", "c", "coordinator")
        spec = spec_of(
            tiny_model(2),
            [host(name, ["d0"], "x") for name in "abc"],
            profiles=[profile("d0", [90])],
            links=[link(one, other) for one in ends for other in ends if one != other],
        )
        (gain,) = explained(solved(spec), SEARCH).gains
        assert gain.found_tokens_per_s == 90


class TestBottleneck:
    """What is used up."""

    hosts = tuple(host(f"h{i}", ["d0" if i % 2 else "d1"]) for i in range(5))
    profiles = (profile("d0", [90, 40, 25, 18]), profile("d1", [120, 66, 41, 30]))

    @pytest.mark.parametrize("layers", [2, 3, 4])
    def test_a_stage_is_worth_more_alone_exactly_if_networkx_says_so(self, layers: int) -> None:
        plan = solved(spec_of(tiny_model(layers), self.hosts, profiles=self.profiles))
        binding = {b.constraint: b for b in explained(plan).bottleneck}
        before = networkx_flow(plan)
        assert before == plan.certificate.flow_tokens_per_s
        for stage in plan.stages:
            gained = networkx_flow(plan, faster=stage.id) - before
            found = binding.get(f"stage:{stage.id}")
            assert (found.alone_tokens_per_s if found else 0) == gained
            if gained:
                assert found is not None
                assert found.price > 0

    def test_shares_sum_to_the_whole_flow(self) -> None:
        plan = solved(spec_of(tiny_model(3), self.hosts, profiles=self.profiles))
        shares = sum(binding.share for binding in explained(plan).bottleneck)
        assert shares == pytest.approx(1, abs=Decimal("0.00001"))

    def two_sites(self, factor: int = 1) -> Spec:
        hosts = [host("a", ["d0"], "x"), host("b", ["d0"], "y")]
        rules = [
            link("x", "x"),
            link("x", "y", trunk=factor * 1280),
            link("y", "x"),
            link("y", "y"),
        ]
        pins = (LayerPin(host="a", layers=(0, 1)), LayerPin(host="b", layers=(1, 2)))
        rates = [profile("d0", [90, 40])]
        return spec_of(tiny_model(2), hosts, profiles=rates, links=rules, layer_pins=pins)

    def test_a_trunk_of_twice_the_speed_brings_what_a_solve_with_it_finds(self) -> None:
        """1280 bytes/s at 128 bytes a token are 10 tokens/s; 4 more for each token back."""
        plan = solved(self.two_sites())
        assert plan.certificate.flow_tokens_per_s == pytest.approx(10, abs=Decimal("0.001"))
        (binding,) = explained(plan).bottleneck
        assert binding.subject == "the trunk from x to y"
        gain = next(gain for gain in explained(plan).gains if gain.kind == "trunk")
        faster = solved(self.two_sites(2)).certificate.flow_tokens_per_s
        assert gain.how == "new routes"
        assert gain.found_tokens_per_s == pytest.approx(
            faster - plan.certificate.flow_tokens_per_s, abs=Decimal("0.001")
        )
        assert binding.alone_tokens_per_s == gain.found_tokens_per_s

    def test_the_gap_is_split_where_links_cost_flow(self) -> None:
        parts = explained(solved(self.two_sites())).gap_parts
        assert "lost on links" in parts[0].what
        assert parts[0].tokens_per_s <= Decimal("80.00001")  # the flow is rounded down


class TestIdle:
    """Why devices are left out."""

    def reasons(self, spec: Spec) -> dict[str, str]:
        return {",".join(idle.hosts): idle.reason for idle in explained(solved(spec)).idle}

    def test_a_pin_a_small_memory_and_a_proof_are_told_apart(self) -> None:
        spec = spec_of(
            tiny_model(2),
            [host("a", ["d0"]), host("b", ["d0"]), host("c", ["d0"]), host("s", ["small"])],
            types=[device_type("small", memory_bytes=50_000)],
            profiles=[profile("d0", [90])],
            exclusions=(Exclusion(host="c"),),
        )
        reasons = self.reasons(spec)
        assert reasons["c"] == "excluded by a pin"
        assert "one layer with room for one longest request takes" in reasons["s"]
        three = spec_of(
            tiny_model(2), [host(n, ["d0"]) for n in "abc"], profiles=[profile("d0", [90])]
        )
        plan = solved(three)
        (idle,) = explained(plan).idle
        proved = plan.certificate.gap == 0
        assert ("proved the largest" in idle.reason) == proved
        assert ("in none of" in idle.reason) == (not proved)

    def test_a_device_that_would_help_is_told_with_its_place(self) -> None:
        spec = spec_of(
            tiny_model(2),
            [host("a", ["d0"]), host("b", ["d0"]), host("c", ["d0"])],
            profiles=[profile("d0", [90, 40])],
        )
        without = replace(
            spec, cluster=spec.cluster.model_copy(update={"exclusions": (Exclusion(host="c"),)})
        )
        plan = solved(without)
        free = plan.model_copy(
            update={
                "cluster": spec.cluster,
                "cluster_sha256": spec.cluster.sha256,
                "certificate": plan.certificate.model_copy(
                    update={
                        "bound_tokens_per_s": Decimal(180),
                        "gap": 180 / plan.certificate.flow_tokens_per_s - 1,
                        "status": "feasible",
                    }
                ),
            }
        )
        assert check_plan(free) == ()
        (idle,) = explain(free).idle
        assert idle.best_layers == (0, 2)
        assert idle.best_gain_tokens_per_s == 40
        assert "can be improved" in idle.reason


def unpinned(plan: Plan) -> Plan:
    """Return a plan whose devices might have been grouped in other ways."""
    cluster = plan.cluster.model_copy(update={"group_pins": ()})
    free = plan.model_copy(update={"cluster": cluster, "cluster_sha256": cluster.sha256})
    free = stating(free, Decimal(FAST // 4), CoordinatorProof())  # other groups may pass more
    assert check_plan(free) == ()
    return free


class TestDegrees:
    """Why a stage has its degree."""

    profiles = (profile("d0", [90, 40, 25]), profile("d0", [150, 78, 49, 36], 2))

    def degrees(self, spec: Spec) -> Sequence[Degree]:
        return explained(solved(spec)).degrees

    def test_a_pair_is_set_against_two_singles_with_the_figures_of_the_profile(self) -> None:
        spec = spec_of(
            tiny_model(3),
            [host("h", ["d0", "d0"])],
            profiles=self.profiles,
            group_pins=(GroupPin(host="h", devices=(0, 1)),),
        )
        (degree,) = explain(unpinned(solved(spec))).degrees
        assert degree.tokens_per_s == 49
        by_way = {option.arrangement: option for option in degree.options}
        assert by_way["side by side"].tokens_per_s == 2 * 25
        assert by_way["in turn"].tokens_per_s == min(90, 40)
        assert sorted(by_way["in turn"].layers) == [1, 2]

    def test_memory_that_stops_an_alternative_is_told_with_the_sum(self) -> None:
        """A layer takes 115 kB with its KV cache, and the rest 150 kB; a device has 630 kB."""
        spec = spec_of(
            tiny_model(6),
            [host("h", ["small", "small"])],
            types=[device_type("small", memory_bytes=700_000)],
            group_pins=(GroupPin(host="h", devices=(0, 1)),),
        )
        (degree,) = explain(unpinned(solved(spec))).degrees
        told = {option.arrangement: option for option in degree.options}
        assert sum(told["in turn"].layers) == 6
        assert told["side by side"].tokens_per_s is None
        reason = told["side by side"].stopped
        assert reason is not None
        assert reason.startswith("6 layers weigh 0.0 GiB")
        assert reason.endswith("there is room for 4")

    @pytest.mark.parametrize(("kv_heads", "heads"), [(1, 1), (2, 4)])
    def test_kv_heads_that_devices_cannot_share_or_copy_are_told(
        self, kv_heads: int, heads: int
    ) -> None:
        n = kv_heads + 1
        model = tiny_model(n).model_copy(update={"kv_heads": kv_heads, "heads": heads})
        spec = spec_of(model, [host("h", ["d0"] * n)], profiles=[profile("d0", [90])])
        options = [o for degree in self.degrees(spec) for o in degree.options]
        reasons = {o.stopped for o in options if o.groups == (("d0",) * n,)}
        assert reasons == {
            f"{n} devices outnumber the KV heads of tiny ({kv_heads}), and are no multiple of them"
            f" that divides its query heads ({heads})"
        }

    def test_one_device_alone_has_no_alternative(self) -> None:
        spec = spec_of(tiny_model(1), [host("h", ["d0"])], profiles=self.profiles)
        (degree,) = self.degrees(spec)
        assert degree.options == ()
