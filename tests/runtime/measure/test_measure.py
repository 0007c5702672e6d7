"""Measuring: the grid, what is derived from it, and real ranks that are stopped and resumed."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from threading import Event

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from support.processes import processes_with
from support.specs import spec_of, two_nodes

from hexplan.catalog.shipped import find_device
from hexplan.cost import DeviceShard, ShardSizes, StageShape, kv_room_tokens
from hexplan.cost.interleaving import LaneTimes
from hexplan.cost.roofline import Roofline
from hexplan.cost.speed import stage_speed
from hexplan.cost.steps import RooflineSteps
from hexplan.errors import InputError, LaunchError
from hexplan.model import Model
from hexplan.techniques import Interleave
from hexplan_runtime.measure import (
    Lengths,
    Outcome,
    Point,
    ProfileFiles,
    ProfileJob,
    Sample,
    measure,
)
from hexplan_runtime.measure.equal_shard import equal_shard
from hexplan_runtime.measure.grid import LARGEST_BATCH, grid
from hexplan_runtime.measure.host_fetch import host_fetch
from hexplan_runtime.measure.rates import MeasuredStage
from hexplan_runtime.measure.rising import rising_times_s
from hexplan_runtime.measure.sample import Phase
from hexplan_runtime.measure.served_rows import rows_of
from hexplan_runtime.model.kv_cache import KvShape

TABLES: dict[str, Phase] = {
    "prefill_layer_s": "prefill",
    "decode_layer_s": "decode",
    "head_s": "head",
    "step_s": "step",
}
"""The tables of a profile, and what they are of."""


@given(st.integers(1, 4000), st.integers(1, 4000), st.booleans())
def test_a_grid_rises_holds_the_means_and_fits_into_the_context(
    prompt: int, output: int, is_quick: bool
) -> None:
    lengths, longest = Lengths(prompt, output), prompt + output + 1
    points = grid(lengths, longest, (1, 3), is_quick=is_quick)
    assert len(set(points)) == len(points)
    assert all(1 <= point.context <= longest for point in points)
    for tp in (1, 3):
        prompts = [p.tokens for p in points if (p.tp, p.phase) == (tp, "prefill")]
        assert prompts == sorted(prompts)
        assert prompt in prompts
        for context in {p.context for p in points if p.phase == "decode"} | {lengths.context}:
            batches = [
                p.tokens for p in points if (p.tp, p.phase, p.context) == (tp, "decode", context)
            ]
            assert batches == sorted(batches)
            assert (batches[0], batches[-1]) == (1, LARGEST_BATCH)


@given(st.integers(1, 64), st.integers(2, 5000), st.integers(0, 5000))
def test_decodes_have_unlike_contexts_with_the_mean_that_is_asked_for(
    requests: int, mean: int, spare: int
) -> None:
    point = Point(tp=1, phase="decode", tokens=requests, context=mean)
    rows = rows_of(point, mean + spare)
    contexts = [row.position + 1 for row in rows]
    assert len(rows) == requests
    assert sum(contexts) / requests == pytest.approx(mean, abs=0.5)
    assert all(1 <= context <= mean + spare for context in contexts)
    assert all(row.context_tokens > row.position for row in rows)
    if requests > 1 and min(mean, spare) > requests:
        assert max(contexts) > mean > min(contexts)


@given(st.lists(st.floats(1e-6, 10), min_size=2, max_size=30))
def test_the_spread_is_the_relative_range_between_the_quartiles(times_s: list[float]) -> None:
    point = Point(tp=1, phase="prefill", tokens=1, context=1)
    sample = Sample(point=point, times_s=tuple(times_s))
    low, middle, high = np.percentile(times_s, [25, 50, 75])
    assert sample.median_s == pytest.approx(middle)
    assert sample.spread == pytest.approx((high - low) / middle, abs=1e-9)


@pytest.mark.parametrize("memory_bytes", [5 * 10**9, 15 * 10**9, 18 * 10**9])
def test_rates_from_the_rooflines_own_times_are_the_rooflines(memory_bytes: int) -> None:
    """The composition is that of the cost model: with its times come its rates."""
    spec = spec_of(two_nodes())
    model, workload = spec.model, spec.workload
    mean = workload.prompt_tokens.model_copy(update={"max": workload.prompt_tokens.mean})
    workload = workload.model_copy(update={"prompt_tokens": mean})
    # A profile has the times of layers alone.
    limits = spec.cluster.limits.model_copy(update={"step_overhead_s": Decimal(0)})
    cluster = spec.cluster.model_copy(update={"limits": limits})
    spec = replace(spec, cluster=cluster, workload=workload)
    lengths = Lengths(mean.mean, workload.output_tokens.mean)
    device = find_device("L4")
    assert device is not None
    sizes = ShardSizes.of(equal_shard(model, 0, 1))
    steps = RooflineSteps(Roofline(model, [DeviceShard(device, sizes)], None))
    prompt, context = lengths.prompt, lengths.context
    prefill_s = steps.layer_s(prompt, prompt * prompt / 2, 0, 0)
    samples = [_sample(Point(tp=1, phase="prefill", tokens=prompt, context=prompt), prefill_s)]
    for batch in range(1, LARGEST_BATCH + 1):
        decode_s = steps.layer_s(0, 0, batch, batch * context)
        point = Point(tp=1, phase="decode", tokens=batch, context=context)
        samples.append(_sample(point, decode_s))
    rates = MeasuredStage(1, tuple(samples), lengths).tokens_per_s(model, memory_bytes)
    assert len(rates) == model.layers
    device = device.model_copy(update={"memory_bytes": memory_bytes, "overhead_bytes": 0})
    num_compared = 0
    for num_layers in range(1, model.layers):  # the last stage has the head, which is left out
        shape = StageShape((0, num_layers), (DeviceShard(device, sizes),))
        room = kv_room_tokens(spec, shape)
        if room * num_layers // (workload.mean_tokens * model.layers) > LARGEST_BATCH:
            continue
        expected = stage_speed(spec, shape, room)
        assert rates[num_layers - 1] == pytest.approx(expected.micro_tokens_per_s / 1e6)
        num_compared += 1
    assert num_compared > 10


@pytest.mark.parametrize(
    ("times_s", "error"),
    [
        ((1.0, 1.0, 1.0), "0.010"),  # no spread: still not better than one in a hundred
        ((0.9, 1.0, 1.1), "0.101"),  # half of what three runs span, rounded up
        ((0.9, 1.0, 9.0), "0.990"),  # never a whole
    ],
)
def test_the_error_of_a_profile_is_the_widest_spread_in_its_tables(
    times_s: tuple[float, ...], error: str
) -> None:
    kinds: tuple[tuple[Phase, int, int], ...] = (
        ("prefill", 16, 16),
        ("prefill", 32, 32),
        ("decode", 1, 28),
    )
    steady = [
        _sample(Point(tp=1, phase=phase, tokens=tokens, context=context), 1.0)
        for phase, tokens, context in kinds
    ]
    mean = Point(tp=1, phase="decode", tokens=2, context=28)
    other = Point(tp=1, phase="decode", tokens=2, context=56)
    for point, expected in ((mean, error), (other, "0.010")):  # other contexts are in no table
        samples = (*steady, Sample(point=point, times_s=times_s))
        stage = MeasuredStage(1, samples, Lengths(24, 8))
        assert stage.error == Decimal(expected)


@pytest.mark.parametrize(
    ("alone_s", "sums_s", "both_s", "slowdown"),
    [
        (4.0, 1.0, 4.0, "1.00"),  # what takes the longer hides the other
        (1.0, 4.0, 5.0, "2.00"),  # one after the other
        (4.0, 1.0, 4.15, "1.15"),
        (4.0, 1.0, 3.9, "1.00"),  # never a gain
        (1.0, 1.0, 99.0, "10"),
    ],
)
def test_the_slowdown_is_what_both_take_beyond_the_longer_as_a_share_of_the_shorter(
    alone_s: float, sums_s: float, both_s: float, slowdown: str
) -> None:
    times: dict[Phase, float] = {"alone": alone_s, "sums": sums_s, "both": both_s}
    samples = [
        _sample(Point(tp=2, phase=phase, tokens=9, context=9), seconds)
        for phase, seconds in times.items()
    ]
    stage = MeasuredStage(2, tuple(samples), Lengths(24, 8))
    assert stage.slowdown == Decimal(slowdown)
    # The formula of lanes gives back what was measured.
    lanes = LaneTimes(
        0.0, 1.0, 10**9, Interleave(from_tokens=2, piece_tokens=1, slowdown=Decimal(1))
    )
    assert stage.slowdown is not None
    how = lanes.interleave.model_copy(update={"slowdown": stage.slowdown})
    expected = max(both_s, alone_s, sums_s) if slowdown != "10" else 10.0
    assert replace(lanes, interleave=how).overlapped_s(alone_s, sums_s) == pytest.approx(expected)


def _sample(point: Point, seconds: float) -> Sample:
    return Sample(point=point, times_s=(seconds,))


@given(st.integers(1, 64), st.integers(64, 20000), st.integers(1, 64))
def test_equal_shards_tile_the_model_and_differ_by_one_at_most(
    kv_heads: int, ffn: int, size: int
) -> None:
    model = spec_of(two_nodes()).model.model_copy(update={"kv_heads": kv_heads, "ffn": ffn})
    shards = [equal_shard(model, rank, size) for rank in range(size)]
    for field, total in (("kv_heads", kv_heads), ("ffn", ffn), ("vocab", model.vocab)):
        cuts = [getattr(shard, field) for shard in shards]
        assert [first for first, _ in cuts] == [0, *(end for _, end in cuts[:-1])]
        assert cuts[-1][1] == total
        assert max(e - f for f, e in cuts) - min(e - f for f, e in cuts) <= 1


@pytest.fixture
def job(llama: Path, llama_model: Model) -> ProfileJob:
    return ProfileJob(
        model=llama_model,
        folder=llama,
        device="core",
        kind="cpu",
        degrees=(1, 2),
        lengths=Lengths(24, 8),
        memory_bytes=None,
        repeats=2,
        is_quick=True,
    )


class Follower:
    """Hears of samples, and stops the measurement after some of them."""

    def __init__(self, most: int = 10**6) -> None:
        self.samples: list[Sample] = []
        self.stop = Event()
        self._most = most

    def __call__(self, sample: Sample, done: int, total: int) -> None:
        self.samples.append(sample)
        if len(self.samples) == self._most:
            self.stop.set()


def run(job: ProfileJob, files: ProfileFiles, follower: Follower) -> Outcome:
    return measure(job, files, follower, follower.stop)


@pytest.mark.slow
def test_a_stopped_measurement_is_labelled_and_resuming_it_measures_only_the_rest(
    job: ProfileJob, tmp_path: Path
) -> None:
    files = ProfileFiles(tmp_path / "profile.yaml")
    first, second = Follower(2), Follower()
    stopped = run(job, files, first)
    assert (len(stopped.samples), stopped.is_complete) == (2, False)
    assert not files.profile.exists()
    assert '"status": "unfinished"' in files.unfinished.read_text()
    with pytest.raises(InputError, match="there is an unfinished measurement") as error:
        run(job, files, Follower())
    assert "--resume" in (error.value.hint or "")

    done = run(job, replace(files, may_resume=True), second)
    assert done.is_complete
    heard: dict[Point, Sample] = {}
    for sample in (*first.samples, *second.samples):
        # A point is measured twice if its times spread, and the second ones count if they do less.
        assert sample.point not in heard or sample.spread < heard[sample.point].spread
        heard[sample.point] = sample
    assert {sample.point: sample for sample in done.samples} == heard
    assert len({sample.point for sample in done.samples}) == done.num_points
    assert all(len(sample.times_s) == 2 for sample in done.samples)
    assert {sample.point.tp for sample in second.samples} == {1, 2}
    assert [path.name for path in tmp_path.iterdir()] == ["profile.yaml"]
    stages = yaml.safe_load(files.profile.read_text())["stages"]
    for stage in stages:
        found = tuple(sample for sample in done.samples if sample.point.tp == stage["tp"])
        measured = MeasuredStage(stage["tp"], found, job.lengths)
        for table, phase in TABLES.items():
            samples = measured.column(phase)
            times_s = [float(f"{time_s:.6g}") for time_s in rising_times_s(samples)]
            tokens = [sample.point.tokens for sample in samples]
            assert stage[table] == [list(pair) for pair in zip(tokens, times_s, strict=True)]
        assert [rows for rows, _ in stage["head_s"]] == [1, 8, 64]
        assert [rows for rows, _ in stage["step_s"]] == [1, 8, 64]
        link = measured.host_link_bytes_per_s(job.model)
        assert link is not None
        assert stage["host_link_bytes_per_s"] == float(f"{link:.6g}") > 0
        slowdown = measured.slowdown
        assert (slowdown is None) == (stage["tp"] == 1)
        assert stage.get("slowdown") == (None if slowdown is None else float(slowdown))

    with pytest.raises(InputError, match="there is a file already"):
        run(job, replace(files, may_resume=True), Follower())


def test_what_is_fetched_from_host_memory_is_its_bytes_by_the_time(llama_model: Model) -> None:
    (point,) = [p for p in grid(Lengths(24, 8), 512, (1,), is_quick=True) if p.phase == "fetch"]
    stage = MeasuredStage(1, (_sample(point, 0.5),), Lengths(24, 8))
    token_bytes = 2 * llama_model.kv_heads * llama_model.head_dim * 4
    assert stage.host_link_bytes_per_s(llama_model) == 2 * point.tokens * token_bytes
    assert MeasuredStage(1, (), Lengths(24, 8)).host_link_bytes_per_s(llama_model) is None


def test_a_fetch_from_host_memory_takes_time_on_a_processor(llama_model: Model) -> None:
    shape = KvShape(llama_model.kv_heads, llama_model.head_dim, torch.float32)
    fetch = host_fetch(shape, 2048, "cpu")
    begun_s = time.perf_counter()
    for _ in range(3):
        fetch()
    assert time.perf_counter() > begun_s


@pytest.mark.slow
def test_a_measurement_of_something_else_is_not_resumed(job: ProfileJob, tmp_path: Path) -> None:
    files = ProfileFiles(tmp_path / "profile.yaml", may_resume=True)
    stop = Follower(1)
    run(job, files, stop)
    with pytest.raises(InputError, match="another device: found core, needed other"):
        run(replace(job, device="other"), files, stop)
    with pytest.raises(InputError, match="another repeats: found 2, needed 9"):
        run(replace(job, repeats=9), files, stop)
    files.unfinished.write_text("[]")
    with pytest.raises(InputError, match="not an unfinished measurement"):
        run(job, files, stop)


@pytest.mark.parametrize("victim", [min, max])
def test_a_rank_that_dies_ends_the_measurement_and_is_named(
    job: ProfileJob,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    victim: Callable[[set[int]], int],
) -> None:
    """What was measured before is kept."""
    mark = f"HEXPLAN_TEST_RUN={tmp_path}"
    monkeypatch.setenv(*mark.split("="))

    class Killer(Follower):
        def __call__(self, sample: Sample, done: int, total: int) -> None:
            super().__call__(sample, done, total)
            os.kill(victim(processes_with(mark)), signal.SIGKILL)

    files, killer = ProfileFiles(tmp_path / "profile.yaml"), Killer()
    with pytest.raises(LaunchError, match=r"rank [01] of 2 that measures (was ended|ended with)"):
        run(replace(job, degrees=(2,)), files, killer)
    assert len(killer.samples) == 1
    assert files.unfinished.exists()
    assert not processes_with(mark)


def test_weights_that_a_rank_cannot_read_are_refused_in_words(
    job: ProfileJob, llama: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(llama, folder)
    (folder / "model.safetensors").write_bytes(b"nothing of the kind")
    with pytest.raises(InputError, match="broken.*header too large") as error:
        run(replace(job, folder=folder), ProfileFiles(tmp_path / "p.yaml"), Follower())
    assert list(tmp_path.iterdir()) == [folder]
    assert error.value.hint == "the download may be incomplete"


def test_more_devices_than_kv_heads_are_refused(job: ProfileJob, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--tp: found 4, needed at most 3"):
        run(replace(job, degrees=(1, 4)), ProfileFiles(tmp_path / "p.yaml"), Follower())
