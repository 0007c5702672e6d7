"""The `simulate` command."""

from __future__ import annotations

import re
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hexplan.cli.inputs import PlanFile, seconds, source
from hexplan.cli.output import emit, require_sound
from hexplan.errors import InputError

if TYPE_CHECKING:
    from hexplan.plan import Plan
    from hexplan_solver.simulate import Outage, PipelineModel, Policy, Slo, Traffic

MOST_REQUESTS = 10_000_000
"""Requests of one simulation, at most: a core simulates some hundreds to thousands a second."""
DURATION_S = 600.0
OUTAGE = re.compile(r"(?P<stage>[^@]+)@(?P<since>[^@-]+)(-(?P<until>[^@-]+))?")


class Scheduling(StrEnum):
    """How a stage batches."""

    CHUNKED = "chunked"
    WHOLE = "whole"


def simulate(
    plan_file: PlanFile,
    rate: Annotated[
        str | None, typer.Option(help="Requests at random times, such as 2/s; scales a trace.")
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="As many requests as the KV cache takes.")
    ] = False,
    trace: Annotated[
        Path | None, typer.Option(help="A trace to replay: Azure's CSV or Mooncake's JSON lines.")
    ] = None,
    policy: Annotated[
        Scheduling,
        typer.Option(help="Cut prompts into chunks, decodes first, or run them whole in a step."),
    ] = Scheduling.CHUNKED,
    chunk: Annotated[
        int | None,
        typer.Option(min=1, help="Tokens of a step, else the plan's: decodes, parts of prompts."),
    ] = None,
    decodes: Annotated[
        int | None,
        typer.Option(min=1, help="Requests that a step decodes at most, else the plan's."),
    ] = None,
    delay: Annotated[
        str | None,
        typer.Option(help="How long an idle stage lets a batch gather, such as 10ms; else 0."),
    ] = None,
    prefill_stages: Annotated[
        str | None,
        typer.Option(help="Stages that run prompts, such as s0,s3; the others decode."),
    ] = None,
    decode_stages: Annotated[
        str | None,
        typer.Option(help="Stages that decode, if not all others; one named twice serves both."),
    ] = None,
    duration: Annotated[
        str | None, typer.Option(help="Simulated time, 600s if not given; a trace runs to its end.")
    ] = None,
    warmup: Annotated[
        str | None, typer.Option(help="What to leave out of it at the start; else it is detected.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of arrivals and lengths.")] = 0,
    slo_ttft: Annotated[
        str | None, typer.Option(help="Promised time to the first token, such as 2s.")
    ] = None,
    slo_tpot: Annotated[
        str | None, typer.Option(help="Promised mean time between two tokens, such as 100ms.")
    ] = None,
    fail: Annotated[
        list[str] | None,
        typer.Option(help="A stage that fails, and is back: s3@100s or s3@100s-160s; repeatable."),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw latencies and timeline into this file, .svg or .png.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the outcome as JSON on stdout.")
    ] = False,
) -> None:
    """Run requests through a plan, event by event, and show what they would see.

    Without --rate, --offline and --trace, requests come at the workload's rate, or --offline where
    the plan has none. Lengths are those of the trace, or spread around the workload's means.

    With --prefill-stages, prompts and decodes take routes of their own, each a largest flow through
    its stages, and the KV of prompts moves from the one to the other over the plan's links.
    """
    from hexplan.files.bounded import write_atomically
    from hexplan.plan_file import read_plan
    from hexplan.render import outcome_json, outcome_picture, outcome_text, picture_kind, say
    from hexplan_solver.simulate import Window
    from hexplan_solver.simulate import simulate as run

    kind = None if plot is None else picture_kind("--plot", plot)
    plan = read_plan(source(plan_file))
    require_sound(plan_file, plan)
    traffic = _traffic(plan, rate, trace, is_offline=offline)
    slo = _slo(plan, slo_ttft, slo_tpot)
    window = Window(*_times_s(duration, warmup, trace), seed, slo=slo)
    _require_countable(plan, traffic, window.duration_s)
    outages = [_outage(plan, text) for text in fail or []]
    pipeline = _pipeline(plan, prefill_stages, decode_stages)
    way = _policy(plan, policy, (chunk, decodes), seconds("--delay", delay))
    if pipeline.is_split:
        way = replace(way, routing="routes")
    outcome = run(pipeline, traffic, way, window, outages)
    if plot is not None and kind is not None:
        write_atomically(plot, outcome_picture(outcome, kind))
        say(f"wrote {plot}")
    emit(outcome_json(outcome) if as_json else outcome_text(outcome))


def _traffic(plan: Plan, rate: str | None, trace: Path | None, *, is_offline: bool) -> Traffic:
    from hexplan_solver.simulate import Offline, Poisson, Replay, SpreadLengths
    from hexplan_solver.simulate.traces import read_trace

    workload = plan.workload
    if is_offline and (rate is not None or trace is not None):
        message = "--offline: found it with --rate or --trace, needed one of them"
        raise InputError(message)
    requests_per_s = _requests_per_s(rate)
    if trace is not None:
        requests = read_trace(trace)
        if requests_per_s is None:
            return Replay(requests)
        return Replay(requests, requests_per_s * requests[-1][0] / len(requests) or 1.0)
    lengths = SpreadLengths(workload.prompt_tokens, workload.output_tokens)
    requests_per_s = requests_per_s or workload.request_rate_per_s
    if is_offline or requests_per_s is None:
        return Offline(lengths)
    return Poisson(requests_per_s, lengths)


def _require_countable(plan: Plan, traffic: Traffic, duration_s: float | None) -> None:
    """Refuse a simulation of more requests than anyone would wait for."""
    from hexplan_solver.simulate import Poisson

    if duration_s is None:
        return
    rate = float(plan.predicted.requests_per_s)
    if isinstance(traffic, Poisson):
        rate = traffic.requests_per_s
    if rate * duration_s > MOST_REQUESTS:
        message = (
            f"--rate and --duration: found {rate:g} requests/s for {duration_s:g} s ="
            f" {rate * duration_s:.3g} requests, needed at most {MOST_REQUESTS:.3g}"
        )
        raise InputError(message, hint="simulate a shorter time: rates settle within minutes")


def _requests_per_s(text: str | None) -> float | None:
    from hexplan.units import QuantityError, parse_rate

    try:
        return None if text is None else parse_rate(text)
    except QuantityError as error:
        message = f"--rate: {error.message}"
        raise InputError(message, hint=error.hint) from error


def _times_s(
    duration: str | None, warmup: str | None, trace: Path | None
) -> tuple[float | None, float | None]:
    """Return the simulated time, none where a trace ends it, and the warm-up."""
    given_s, warmup_s = seconds("--duration", duration), seconds("--warmup", warmup)
    duration_s = DURATION_S if given_s is None and trace is None else given_s
    if duration_s is not None and warmup_s is not None and warmup_s >= duration_s:
        message = f"--warmup: found {warmup}, needed less than the {duration_s:g} s of --duration"
        raise InputError(message)
    return duration_s, warmup_s


def _policy(
    plan: Plan, name: Scheduling, limits: tuple[int | None, int | None], delay_s: float | None
) -> Policy:
    from hexplan_solver.simulate import WHOLE, policy_of_plan

    for option, limit in zip(("--chunk", "--decodes"), limits, strict=True):
        if name is Scheduling.WHOLE and limit is not None:
            message = f"{option}: found it with --policy whole, which has no limits of its own"
            raise InputError(message)
    policy = WHOLE if name is Scheduling.WHOLE else policy_of_plan(plan)
    tokens, decodes = limits
    return replace(
        policy,
        delay_s=delay_s or 0.0,
        chunk_tokens=tokens or policy.chunk_tokens,
        max_decode_tokens=decodes or policy.max_decode_tokens,
    )


def _pipeline(plan: Plan, prefill: str | None, decode: str | None) -> PipelineModel:
    """Return the plan's pipeline, split where there are stages for prompts."""
    from hexplan_solver.simulate import pipeline_of_plan, pipeline_of_split_plan

    if prefill is None:
        if decode is not None:
            message = "--decode-stages: found it without --prefill-stages, needed both"
            raise InputError(message)
        return pipeline_of_plan(plan)
    names = [stage.id for stage in plan.stages]
    prompts = _stages("--prefill-stages", prefill, names)
    decodes = set(names) - prompts
    if decode is not None:
        decodes = _stages("--decode-stages", decode, names)
    idle = [name for name in names if name not in prompts | decodes]
    if idle:
        message = f"--decode-stages: found nothing for {', '.join(idle)} to do, needed every stage"
        raise InputError(message)
    return pipeline_of_split_plan(
        plan,
        [
            "both" if name in prompts & decodes else "prefill" if name in prompts else "decode"
            for name in names
        ],
    )


def _stages(option: str, text: str, names: list[str]) -> set[str]:
    """Return the stages that an option names."""
    found = {name.strip() for name in text.split(",")}
    unknown = sorted(found - set(names))
    if unknown:
        message = f"{option}: found {unknown[0] or 'no name'}, needed stages of the plan"
        raise InputError(message, hint=_known(names))
    return found


def _known(names: list[str]) -> str:
    return f"the plan has the stages {names[0]} to {names[-1]}"


def _slo(plan: Plan, ttft: str | None, tpot: str | None) -> Slo | None:
    """Return what the options promise, or else what the plan's workload does."""
    from hexplan_solver.simulate import Slo

    ttft_s, tpot_s = seconds("--slo-ttft", ttft), seconds("--slo-tpot", tpot)
    if ttft_s is None and tpot_s is None:
        promised = plan.workload.slo
        return Slo(float(promised.ttft_s), float(promised.tpot_s)) if promised else None
    return Slo(ttft_s or float("inf"), tpot_s or float("inf"))


def _outage(plan: Plan, text: str) -> Outage:
    from hexplan_solver.simulate import Outage

    match = OUTAGE.fullmatch(text)
    names = [stage.id for stage in plan.stages]
    if match is None or match["stage"] not in names:
        message = f"--fail: found {text}, needed a stage and a time, such as {names[0]}@100s-160s"
        raise InputError(message, hint=_known(names))
    since_s, until_s = seconds("--fail", match["since"]), seconds("--fail", match["until"])
    if until_s is not None and until_s <= (since_s or 0.0):
        message = f"--fail: found {text}, needed an end after the start"
        raise InputError(message)
    return Outage(names.index(match["stage"]), since_s or 0.0, until_s or float("inf"))
