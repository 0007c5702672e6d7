"""The recipe as a whole: known optima, example specs, pins, refusals, determinism."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from decimal import Decimal
from pathlib import Path

import pytest
from support.clusters import device_type, host, link, profile, spec_of, tiny_model

from hexplan.check import check_plan
from hexplan.cluster import Exclusion, GroupPin, LayerPin
from hexplan.errors import InfeasibleError, InputError
from hexplan.plan import Plan, SolveInfo
from hexplan.plan_file import plan_json
from hexplan.reading import read_spec
from hexplan.spec import Spec
from hexplan_solver import Progress, SolveOptions, solve

SPECS = Path(__file__).parents[2] / "cluster_specs"
LARGE = (
    *("hexgen-full58", "hexgen-half30", "hexgen-a100-16", "helix-high42-llama70b"),
    *("helix-geo24-llama30b", "helix-single24-l4-llama30b", "two-datacentres"),
)
ALL_SPECS = sorted(SPECS.glob("*.yaml"))


def checked(spec: Spec, options: SolveOptions | None = None) -> Plan:
    plan = solve(spec, options)
    assert [str(violation) for violation in check_plan(plan)] == []
    return plan


def test_the_published_24_node_cluster_is_solved_to_proved_optimality() -> None:
    plan = checked(read_spec(SPECS / "helix-single24-llama70b.yaml"))
    assert plan.certificate.flow_tokens_per_s >= 2045
    assert plan.certificate.bound_tokens_per_s < Decimal("2045.6411")
    assert plan.certificate.gap == 0
    assert plan.certificate.status == "optimal"


@pytest.mark.parametrize(
    ("name", "best_known"),
    [
        ("helix-abl10-llama30b", "286.587"),
        ("helix-single24-a100-llama30b", "1044.533"),
        ("helix-single24-l4-llama30b", "252.649"),
        ("helix-single24-t4-llama30b", "397.685"),
    ],
)
def test_the_best_known_flow_of_measured_clusters_is_reached(name: str, best_known: str) -> None:
    plan = checked(read_spec(SPECS / f"{name}.yaml"), SolveOptions(time_limit_s=20))
    assert plan.certificate.flow_tokens_per_s >= Decimal(best_known)


@pytest.mark.slow
def test_three_sites_are_planned_within_their_links_and_above_the_published_flow() -> None:
    """The published placement has 1137.177 tokens/s (docs/benchmarks.md)."""
    plan = checked(read_spec(SPECS / "helix-geo24-llama30b.yaml"), SolveOptions(time_limit_s=20))
    assert plan.certificate.flow_tokens_per_s > Decimal("1137.177")
    sites = {stage.id: plan.cluster.site_of(stage.host) for stage in plan.stages}
    crossing = [
        edge
        for edge in plan.edges
        if edge.source in sites and edge.target in sites
        if sites[edge.source] != sites[edge.target]
    ]
    assert all(edge.tokens_per_s <= edge.capacity_tokens_per_s < 1200 for edge in crossing)


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, marks=[pytest.mark.slow] if path.stem in LARGE else [], id=path.stem)
        for path in ALL_SPECS
    ],
)
def test_every_example_spec_gets_a_plan_that_the_check_accepts(path: Path) -> None:
    plan = checked(read_spec(path), SolveOptions(time_limit_s=4))
    assert plan.certificate.flow_tokens_per_s > 0


@pytest.mark.slow
def test_the_same_input_and_seed_give_the_same_bytes() -> None:
    blank = SolveInfo(wall_s=0.0, seed=0, versions={})
    spec = read_spec(SPECS / "laptop.yaml")
    texts = {
        plan_json(solve(spec, SolveOptions(threads=threads)).model_copy(update={"solve": blank}))
        for threads in (1, 1, 2)
    }
    assert len(texts) == 1


def test_another_solver_gives_a_plan_with_the_work_bound() -> None:
    spec = spec_of(
        tiny_model(3), [host(f"h{i}", ["d0"]) for i in range(3)], profiles=[profile("d0", [9, 4])]
    )
    plan = checked(spec, SolveOptions(solver="HiGHS"))
    assert plan.certificate.flow_tokens_per_s == 9


def test_an_unknown_solver_is_refused_with_those_that_are_there() -> None:
    spec = spec_of(tiny_model(2), [host("h", ["d0"])], profiles=[profile("d0", [9, 4])])
    with pytest.raises(InputError, match="`Nope` was not found") as caught:
        solve(spec, SolveOptions(solver="Nope"))
    assert "HiGHS" in str(caught.value.hint)


class TestPins:
    """What the user fixes stays fixed."""

    hosts = tuple(host(f"h{i}", ["d0", "d0"]) for i in range(3))
    profiles = (profile("d0", [90, 40, 25, 18]), profile("d0", [150, 70, 45, 30], 2))

    def solved(self, **changes: object) -> Plan:
        return checked(spec_of(tiny_model(4), self.hosts, profiles=self.profiles, **changes))

    def test_a_pinned_host_holds_exactly_its_layers(self) -> None:
        plan = self.solved(layer_pins=(LayerPin(host="h1", layers=(1, 3)),))
        assert {stage.layers for stage in plan.stages if stage.host == "h1"} == {(1, 3)}

    def test_devices_pinned_together_form_one_stage(self) -> None:
        plan = self.solved(group_pins=(GroupPin(host="h2", devices=(0, 1)),))
        assert [stage.devices for stage in plan.stages if stage.host == "h2"] == [(0, 1)]

    def test_an_excluded_device_stays_unused_and_the_plan_says_why(self) -> None:
        plan = self.solved(exclusions=(Exclusion(host="h0", device=1), Exclusion(host="h1")))
        reasons = {(unused.host, unused.device): unused.reason for unused in plan.unused}
        assert reasons["h0", 1] == reasons["h1", 0] == reasons["h1", 1] == "excluded by a pin"

    def test_pins_that_leave_a_layer_out_are_infeasible(self) -> None:
        pins = tuple(LayerPin(host=f"h{i}", layers=(0, 3)) for i in range(3))
        with pytest.raises(InfeasibleError) as caught:
            self.solved(layer_pins=pins)
        assert caught.value.exit_code == 3


class TestRefusals:
    """No plan, and the reason in the user's words."""

    def test_too_little_memory_is_told_with_the_sum(self) -> None:
        small = device_type("small", memory_bytes=500_000)
        spec = spec_of(tiny_model(40), [host(f"h{i}", ["small"]) for i in range(2)], types=[small])
        with pytest.raises(InfeasibleError) as caught:
            solve(spec)
        assert "it has 40 layers, and all hosts together hold" in caught.value.message
        assert "short by" in caught.value.message
        assert "GiB" in caught.value.message

    def test_hosts_that_no_link_joins_give_no_plan(self) -> None:
        spec = spec_of(
            tiny_model(4),
            [host("a", ["d0"], "x"), host("b", ["d0"], "y")],
            profiles=[profile("d0", [9, 4])],
            links=[link("coordinator", "x"), link("y", "coordinator")],
            time_s=2,
        )
        with pytest.raises(InfeasibleError, match="a way back") as caught:
            solve(spec)
        assert "links" in str(caught.value.hint)


def test_mixed_devices_share_a_stage_in_proportion_to_their_speed() -> None:
    fast, slow = device_type("fast", speed=2 * 10**12), device_type("slow", speed=10**12)
    plan = checked(
        spec_of(
            tiny_model(12, kv_heads=6),
            [host("h", ["fast", "slow"])],
            types=[fast, slow],
            group_pins=(GroupPin(host="h", devices=(0, 1)),),
        )
    )
    assert [[shard.kv_heads for shard in stage.shards] for stage in plan.stages] == [
        [(0, 4), (4, 6)]
    ]


def test_progress_is_told_with_a_bound_above_the_incumbent() -> None:
    told: list[Progress] = []
    solve(read_spec(SPECS / "helix-abl10-llama30b.yaml"), SolveOptions(time_limit_s=6), told.append)
    assert told
    for progress in told:
        if progress.gap is not None:
            assert progress.gap >= -1e-6


def test_an_interrupt_during_the_milp_ends_the_process_at_once() -> None:
    """SIGINT must reach Python while HiGHS runs in a thread of its own."""
    code = (
        "import signal\n"
        "from pathlib import Path\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)  # CI may ignore it\n"
        "from hexplan.reading import read_spec\n"
        "from hexplan_solver import SolveOptions, solve\n"
        f"spec = read_spec(Path({str(SPECS / 'helix-geo24-llama30b.yaml')!r}))\n"
        "print('go', flush=True)\n"
        "solve(spec, SolveOptions(time_limit_s=100))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(2.5)
        child.send_signal(signal.SIGINT)
        killer = threading.Timer(30, child.kill)
        killer.start()
        _, errors = child.communicate()
        killer.cancel()
    assert b"KeyboardInterrupt" in errors
    assert child.returncode != -signal.SIGKILL
