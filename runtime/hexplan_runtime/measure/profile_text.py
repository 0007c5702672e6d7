"""The text of a profile file: the measured times, in the form that a cluster.yaml reads."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from hexplan.model import Model
from hexplan_runtime.measure.grid import LARGEST_BATCH, Lengths
from hexplan_runtime.measure.rates import MeasuredStage
from hexplan_runtime.measure.record import Circumstances
from hexplan_runtime.measure.rising import rising_times_s
from hexplan_runtime.measure.sample import OVERLAP, Phase, Sample

_SIGNIFICANT = 6
"""Digits of a figure: more than its error warrants, and still easy to read."""


def profile_text(
    circumstances: Circumstances,
    stages: Sequence[MeasuredStage],
    memory_bytes: int | None,
    day: str,
) -> str:
    """Return the text; its comments say how often and how steadily each figure was measured."""
    return "\n".join(_lines(circumstances, stages, memory_bytes, day)) + "\n"


def _lines(
    circumstances: Circumstances,
    stages: Sequence[MeasuredStage],
    memory_bytes: int | None,
    day: str,
) -> Iterator[str]:
    model = circumstances.model
    yield "# Written by `hexplan profile`. A `cluster.yaml` names it with `profiles:`."
    yield "# Beside each time: runs, and the range of their middle half as a share of the median."
    yield "version: 1"
    yield f"model: {_quoted(model.name)}"
    yield f"source: {_quoted(_source(circumstances, stages[0].lengths, memory_bytes, day))}"
    yield "stages:"
    for stage in stages:
        yield f"  - device: {_quoted(circumstances.device)}"
        yield f"    tp: {stage.tp}"
        yield f"    error: {stage.error}  # the widest spread of the times below"
        yield from _slowdown(stage)
        yield from _host_link(stage, model)
        yield "    tokens_per_s:"
        yield from (f"      - {_number(r)}" for r in stage.tokens_per_s(model, memory_bytes))
        yield "    prefill_layer_s:"
        yield from _rows(stage, "prefill")
        yield "    decode_layer_s:"
        yield from _rows(stage, "decode")
        yield "    head_s:"
        yield from _rows(stage, "head")
        yield "    step_s:"
        yield from _rows(stage, "step")
        yield from _other_contexts(stage)


def _slowdown(stage: MeasuredStage) -> Iterator[str]:
    """Say how computing and summing up slow each other down, and what that is derived from."""
    if stage.slowdown is None:
        return
    yield f"    slowdown: {stage.slowdown}  # of computing and summing up while both go on:"
    for phase, what in zip(OVERLAP, ("computing alone", "sums alone", "both"), strict=True):
        (sample,) = stage.column(phase)
        figures = f"[{sample.point.tokens}, {_number(sample.median_s)}]"
        yield f"    #   {what} {figures}  {_steadiness(sample)}"


def _host_link(stage: MeasuredStage, model: Model) -> Iterator[str]:
    """Say what a device fetches from host memory a second, if that was measured."""
    rate = stage.host_link_bytes_per_s(model)
    if rate is not None:
        (sample,) = stage.column("fetch")
        figures = f"[{sample.point.tokens}, {_number(sample.median_s)}]"
        yield f"    host_link_bytes_per_s: {_number(rate)}  # of keys and values in a layer:"
        yield f"    #   fetched {figures}  {_steadiness(sample)}"


def _rows(stage: MeasuredStage, phase: Phase) -> Iterator[str]:
    samples = stage.column(phase)
    for sample, time_s in zip(samples, rising_times_s(samples), strict=True):
        told, median = _number(time_s), _number(sample.median_s)
        found = "" if told == median else f"; a median of {median}, but more tokens took less"
        yield f"      - [{sample.point.tokens}, {told}]  # {_steadiness(sample)}{found}"


def _other_contexts(stage: MeasuredStage) -> Iterator[str]:
    """Keep decodes at other contexts than the mean as comments: a profile has no field for them."""
    others = [
        sample
        for sample in stage.samples
        if sample.point.phase == "decode" and sample.point.context != stage.lengths.context
    ]
    if others:
        yield "    # decodes at other contexts, which no field holds: [context, tokens, seconds]"
    for sample in others:
        point = sample.point
        figures = f"[{point.context}, {point.tokens}, {_number(sample.median_s)}]"
        yield f"    #   {figures}  {_steadiness(sample)}"


def _source(
    circumstances: Circumstances, lengths: Lengths, memory_bytes: int | None, day: str
) -> str:
    """Return who measured what, how, and what is derived from it."""
    model, (first, end) = circumstances.model, circumstances.layers
    kind, hardware = circumstances.kind, circumstances.hardware
    threads = ", one thread a device" if kind == "cpu" else ""
    if circumstances.together > 1:
        threads += f", {circumstances.together} devices at work at once"
    batch = f"{LARGEST_BATCH}, the largest that is measured"
    if memory_bytes is not None:
        batch = f"what the KV room of {memory_bytes} bytes a device takes, at most {LARGEST_BATCH}"
    return (
        f"hexplan profile on {day}, layers [{first}, {end}) of {model.name} in {model.dtype}, a"
        f" layer's share of all but the first, on {kind} ({hardware}){threads},"
        f" torch {circumstances.torch}; medians of at most {circumstances.repeats} runs;"
        f" decodes at a context of {lengths.context} tokens;"
        f" tokens_per_s derived for requests of {lengths.prompt} + {lengths.output} tokens:"
        " (p + o) / (k (prefill_layer_s(p) + o / B decode_layer_s(B))) for k layers, without the"
        f" output head, where B is {batch}; head_s with greedy sampling; step_s:"
        " what a step takes besides its layers and head, with a message over a socket file"
    )


def _steadiness(sample: Sample) -> str:
    return f"{len(sample.times_s)} runs, {100 * sample.spread:.1f} %"


def _number(value: float) -> str:
    return repr(float(f"{value:.{_SIGNIFICANT}g}"))


def _quoted(text: str) -> str:
    """Return the text in double quotes; YAML reads a JSON string as JSON does."""
    return json.dumps(text, ensure_ascii=False)
