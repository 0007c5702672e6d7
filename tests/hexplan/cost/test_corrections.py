"""Corrections: an overlay says what stages took, and speeds, step times and the check follow it."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from support.clusters import device_type, host, profile, spec_of, tiny_model

from hexplan.check import check_plan
from hexplan.cluster import Cluster, Correction
from hexplan.cost import DeviceShard, ShardSizes, StageShape, StageSpeed, stage_speed
from hexplan.cost.steps import are_measured, tensor_step_times
from hexplan.errors import SpecError
from hexplan.plan import Plan
from hexplan.reading import read_spec
from hexplan.spec import Spec
from hexplan_solver import solve

WHOLE = ShardSizes(4, 128, 256)
HALF = ShardSizes(2, 64, 128)
HEAD = "version: 1\noverlay: by hand\n"
SPEC = """\
version: 1
name: seen
model: llama-2-7b
workload: {prompt_tokens: {mean: 512, max: 1024}, output_tokens: 128}
hosts:
  - {name: "a-[0-1]", site: east, devices: L4, nic: 10Gbps}
coordinator: {site: east, nic: 10Gbps}
links:
  - {within: east, bandwidth: 10Gbps, latency: 0.1ms}
"""


def correction(**update: object) -> Correction:
    figures = {"device": "d0", "tp": 1, "error": Decimal("0.12"), "source": "seen", **update}
    return Correction.model_validate(figures)


def corrected(spec: Spec, *corrections: Correction) -> Spec:
    return replace(spec, cluster=spec.cluster.model_copy(update={"corrections": corrections}))


def speed(spec: Spec, layers: tuple[int, int] = (1, 3), num_devices: int = 1) -> StageSpeed:
    types = spec.cluster.device_type_by_name
    sizes = WHOLE if num_devices == 1 else HALF
    group = (DeviceShard(types["d0"], sizes),) * num_devices
    shape = StageShape(layers, group, spec.cluster.hosts[0].interconnect)
    return stage_speed(spec, shape, 40_000)


def spec_on(basis: str, num_devices: int = 1) -> Spec:
    """Return a cluster whose device `d0` rests on a datasheet, a profile, or another's profile."""
    known = {"datasheet": [], "profile": [profile("d0", [900.0, 400.0, 250.0], num_devices)]}
    profiles = known.get(basis, [profile("near", [900.0, 400.0, 250.0])])
    types = [device_type(n).model_copy(update={"arch": "x"}) for n in ("d0", "near")]
    hosts = [host(name, ["d0"] * num_devices) for name in "abcd"]
    spec = spec_of(tiny_model(8), hosts, types=types, profiles=profiles, time_s=5.0)
    return replace(spec, cluster=spec.cluster.model_copy(update={"device_types": tuple(types)}))


BASES = ["datasheet", "profile", "scaled"]


@pytest.mark.parametrize("basis", BASES)
@pytest.mark.parametrize("layers", [(1, 3), (6, 8)])
def test_one_factor_for_both_phases_divides_a_speed_by_it(
    basis: str, layers: tuple[int, int]
) -> None:
    """The head at the end of the model goes with the decodes, so it is divided, too."""
    spec = spec_on(basis)
    twice = corrected(spec, correction(prefill=Decimal("2.5"), decode=Decimal("2.5")))
    before, after = speed(spec, layers), speed(twice, layers)
    expected = before.micro_tokens_per_s / 2.5
    assert after.micro_tokens_per_s == pytest.approx(expected, rel=1e-8)
    assert (after.origin, after.error) == (f"{before.origin}, corrected", Decimal("0.12"))


@pytest.mark.parametrize("basis", BASES)
def test_the_two_factors_share_the_time_of_a_request(basis: str) -> None:
    """What one factor adds and what the other adds is what both add together."""
    spec = spec_on(basis)
    three = Decimal(3)

    def seconds(**factors: Decimal) -> float:
        return 128 / (speed(corrected(spec, correction(**factors))).micro_tokens_per_s / 1e6)

    bare = seconds()
    prompts, decodes = seconds(prefill=three) - bare, seconds(decode=three) - bare
    assert prompts > 0
    assert decodes > 0
    assert prompts + decodes == pytest.approx(2 * bare, rel=1e-5)


@pytest.mark.parametrize("basis", BASES)
def test_a_time_for_each_step_counts_for_chunks_and_for_shared_decodes(basis: str) -> None:
    """Two layers, one chunk and 64 decodes that 256 requests, or 78 by the KV room, share."""
    spec = spec_on(basis)
    slow = corrected(spec, correction(layer_step_s=Decimal("0.01")))
    batch = 40_000 * 2 // (128 * 8)
    added = 128 / (speed(slow).micro_tokens_per_s / 1e6) - 128 / (
        speed(spec).micro_tokens_per_s / 1e6
    )
    assert added == pytest.approx(2 * 0.01 * (1 + 64 / batch), rel=1e-5)


def test_another_degree_or_device_is_left_alone() -> None:
    spec = spec_on("datasheet")
    others = (correction(tp=2, decode=Decimal(9)), correction(device="near", decode=Decimal(9)))
    assert speed(corrected(spec, *others)) == speed(spec)
    assert speed(corrected(spec, *others), num_devices=2) != speed(spec, num_devices=2)


def test_a_device_that_others_use_in_part_is_corrected_as_the_whole_one() -> None:
    spec = spec_on("datasheet")
    shared = spec.cluster.device_type_by_name["d0"].used_in_part(10**6)
    shape = StageShape((1, 3), (DeviceShard(shared, WHOLE),))
    found = stage_speed(corrected(spec, correction(decode=Decimal(2))), shape, 40_000)
    assert found.origin == "datasheet, corrected"


@pytest.mark.parametrize("basis", BASES)
def test_step_times_are_corrected_by_phase(basis: str) -> None:
    spec = spec_on(basis)
    if basis != "datasheet":
        table = tuple((n, Decimal(n) / 1000) for n in (1, 64, 256))
        tables = {"prefill_layer_s": table, "decode_layer_s": table}
        profiles = tuple(p.model_copy(update=tables) for p in spec.cluster.profiles)
        spec = replace(spec, cluster=spec.cluster.model_copy(update={"profiles": profiles}))
    figures = {"prefill": Decimal(2), "decode": Decimal(5), "layer_step_s": Decimal("0.5")}
    found = corrected(spec, correction(**figures))
    group = (DeviceShard(spec.cluster.device_type_by_name["d0"], WHOLE),)
    plain, after = (tensor_step_times(s, StageShape((1, 3), group)) for s in (spec, found))
    prompt, decode = (64, 2048.0, 0, 0.0), (0, 0.0, 8, 512.0)
    assert after.layer_s(*prompt) == pytest.approx(2 * plain.layer_s(*prompt) + 0.5)
    assert after.layer_s(*decode) == pytest.approx(5 * plain.layer_s(*decode) + 0.5)
    assert after.layer_s(0, 0.0, 0, 0.0) == 0.0
    assert after.head_s(8) == 5 * plain.head_s(8)
    mixed_s = plain.layer_s(64, 2048.0, 8, 512.0)
    assert 2 * mixed_s + 0.5 < after.layer_s(64, 2048.0, 8, 512.0) < 5 * mixed_s + 0.5
    assert after.origin == f"{plain.origin}, corrected"
    assert after.measured_tokens == plain.measured_tokens
    assert are_measured(after) == are_measured(plain) == (basis == "profile")


FIGURES = {
    "prefill": Decimal("1.7"),
    "decode": Decimal("0.6"),
    "layer_step_s": Decimal("0.00003"),
}


def corrected_plan(basis: str, tp: int) -> Plan:
    spec = spec_on(basis, tp)
    kinds = [correction(tp=n, **FIGURES) for n in (1, 2)]
    return solve(corrected(spec, *kinds))


@pytest.mark.parametrize("tp", [1, 2])
@pytest.mark.parametrize("basis", BASES)
def test_a_plan_on_corrected_speeds_passes_the_check(basis: str, tp: int) -> None:
    plan = corrected_plan(basis, tp)
    assert check_plan(plan) == ()
    assert all(stage.speed_origin.endswith(", corrected") for stage in plan.stages)
    assert plan.predicted.rests_on[0].origin.endswith(", corrected")


@pytest.mark.parametrize("basis", BASES)
@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("prefill", Decimal("1.70001"), "HEX401"),
        ("decode", Decimal("0.59999"), "HEX401"),
        ("layer_step_s", Decimal("0.0000301"), "HEX401"),
        ("error", Decimal("0.11"), "HEX405"),
    ],
)
def test_a_plan_whose_correction_was_changed_is_refused(
    basis: str, field: str, value: Decimal, rule: str
) -> None:
    plan = corrected_plan(basis, 1)
    changed = tuple(c.model_copy(update={field: value}) for c in plan.cluster.corrections)
    cluster = plan.cluster.model_copy(update={"corrections": changed})
    update = {"cluster": cluster, "cluster_sha256": cluster.sha256}
    broken = {str(v).split()[0] for v in check_plan(plan.model_copy(update=update))}
    assert rule in broken


def test_a_cluster_without_corrections_says_nothing_of_them() -> None:
    cluster = spec_on("datasheet").cluster
    assert "corrections" not in cluster.model_dump_json()
    found = corrected(spec_on("datasheet"), correction(decode=Decimal(2))).cluster
    assert Cluster.model_validate_json(found.model_dump_json()) == found
    assert found.sha256 != cluster.sha256


def write(folder: Path, *entries: str, name: str = "overlay.yaml") -> Path:
    path = folder / name
    path.write_text(HEAD + "corrections:\n" + "".join(f"  - {{{entry}}}\n" for entry in entries))
    return path


@pytest.fixture
def spec_file(tmp_path: Path) -> Path:
    path = tmp_path / "cluster.yaml"
    path.write_text(SPEC)
    return path


def test_an_overlay_says_corrections_and_a_later_one_replaces_those_of_its_kinds(
    spec_file: Path,
) -> None:
    first = write(
        spec_file.parent,
        "device: L4, tp: 1, prefill: 2, decode: 0.5, layer_step: 0.2ms, error: 12%, source: seen",
        "device: L4, tp: 2, decode: 3, error: 0.3, source: seen",
    )
    second = write(
        spec_file.parent, "device: L4, tp: 2, prefill: 7, error: 0.1, source: x", name="2.yaml"
    )
    cluster = read_spec(spec_file, [first, second]).cluster
    assert cluster.corrections == (
        correction(
            device="L4",
            prefill=Decimal(2),
            decode=Decimal("0.5"),
            layer_step_s=Decimal("0.0002"),
        ),
        correction(device="L4", tp=2, prefill=Decimal(7), error=Decimal("0.1"), source="x"),
    )


GOOD = "device: L4, tp: 1, decode: 2, error: 0.1, source: s"


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (GOOD.replace("L4", "T4"), "found 'T4', needed a device type of the cluster"),
        (GOOD.replace("tp: 1", "tp: 0"), "tp: found 0, needed > 0"),
        (GOOD.replace("decode: 2", "decode: 0"), "decode: found 0, needed > 0"),
        (GOOD.replace("decode: 2", "decode: fast"), "decode: found 'fast', needed a number"),
        (GOOD.replace("decode: 2", "decode: true"), "decode: found true, needed a number"),
        (GOOD.replace("error: 0.1", "error: 1"), "error: found 1, needed < 1"),
        (GOOD.replace("error: 0.1, ", ""), "the field `error` is missing"),
        (GOOD + ", layer_step: 3", "found 3, needed a time with its unit"),
        (GOOD + ", prefil: 3", "prefil: unknown field"),
    ],
)
def test_a_wrong_correction_is_refused_with_its_line(
    spec_file: Path, entry: str, words: str
) -> None:
    path = write(spec_file.parent, GOOD.replace("tp: 1", "tp: 2"), entry)
    with pytest.raises(SpecError) as error:
        read_spec(spec_file, [path])
    assert f"{path}:5: corrections[1]" in error.value.message
    assert words in error.value.message


def test_one_kind_of_stage_is_corrected_once(spec_file: Path) -> None:
    path = write(spec_file.parent, GOOD, GOOD)
    with pytest.raises(SpecError, match="found 1 x L4 again, first at line 4"):
        read_spec(spec_file, [path])
