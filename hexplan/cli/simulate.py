"""The `simulate` command."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hexplan.cli.inputs import PlanFile, seconds, source
from hexplan.cli.output import emit, require_sound
from hexplan.cli.queues.options import QueueOption, StarveOption, queueing_of
from hexplan.cli.simulation.traffic import require_countable, require_queue, traffic_of
from hexplan.errors import InputError

if TYPE_CHECKING:
    from hexplan.plan import Plan
    from hexplan_solver.simulate import Outage, PipelineModel, Policy, Slo

DURATION_S = 600.0
"""The default of --duration."""
OUTAGE = re.compile(r"(?P<stage>[^@]+)@(?P<since>[^@-]+)(-(?P<until>[^@-]+))?")


class Scheduling(StrEnum):
    """How a stage forms its batches."""

    CHUNKED = "chunked"
    WHOLE = "whole"


def simulate(
    plan_file: PlanFile,
    rate: Annotated[
        str | None,
        typer.Option(
            help="Requests arrive at random at this rate, such as 2/s; a trace is scaled to it."
        ),
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Always as many requests as the KV cache holds.")
    ] = False,
    trace: Annotated[
        Path | None, typer.Option(help="A trace to replay: Azure's CSV or Mooncake's JSON lines.")
    ] = None,
    policy: Annotated[
        Scheduling,
        typer.Option(
            help="chunked: decodes first, and prompts in parts; whole: each prompt in one step."
        ),
    ] = Scheduling.CHUNKED,
    chunk: Annotated[
        int | None,
        typer.Option(min=1, help="The most tokens of a step; by default the plan's."),
    ] = None,
    decodes: Annotated[
        int | None,
        typer.Option(min=1, help="The most requests that a step decodes; by default the plan's."),
    ] = None,
    delay: Annotated[
        str | None,
        typer.Option(
            help="How long an idle stage waits for a batch to gather, such as 10ms; by default 0."
        ),
    ] = None,
    queue: QueueOption = None,
    starve: StarveOption = None,
    prefill_stages: Annotated[
        str | None,
        typer.Option(help="Stages that run prompts, such as s0,s3; the others decode."),
    ] = None,
    decode_stages: Annotated[
        str | None,
        typer.Option(
            help="Stages that decode; by default all others. A stage named in both does both."
        ),
    ] = None,
    duration: Annotated[
        str | None,
        typer.Option(help="Simulated time; by default 600s, or to the end of the trace."),
    ] = None,
    warmup: Annotated[
        str | None, typer.Option(help="Time to leave out at the start; by default it is detected.")
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
        typer.Option(
            help="A stage that fails, for good or for a time: s3@100s or s3@100s-160s; repeatable."
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(help="Draw latencies and a timeline into this file, .svg or .png."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the outcome as JSON on stdout.")
    ] = False,
) -> None:
    """Run requests through a plan, event by event, and show what they would see.

    Without --rate, --offline and --trace, requests arrive at the workload's rate, or as with
    --offline if the plan has none. Lengths are the trace's, or spread around the workload's means.

    Where a plan's stages serve one phase each, requests take its handovers. With --prefill-stages,
    prompts and decodes take separate routes, each a largest flow through its stages. In both cases,
    the KV cache of each prompt moves between them over the plan's links.
    """
    from hexplan.files.bounded import write_atomically
    from hexplan.files.writable import require_writable
    from hexplan.plan_file import read_plan
    from hexplan.render import outcome_json, outcome_picture, outcome_text, picture_kind, say
    from hexplan_solver.simulate import Window
    from hexplan_solver.simulate import simulate as run

    kind = None if plot is None else picture_kind("--plot", plot)
    if plot is not None:
        require_writable("--plot", plot)
    plan = read_plan(source(plan_file))
    require_sound(plan_file, plan)
    traffic = traffic_of(plan, rate, trace, is_offline=offline)
    slo = _slo(plan, slo_ttft, slo_tpot)
    window = Window(*_times_s(duration, warmup, trace), seed, slo=slo, has_slowdowns=True)
    require_countable(plan, traffic, window.duration_s)
    outages = [_outage(plan, text) for text in fail or []]
    pipeline = _pipeline(plan, prefill_stages, decode_stages)
    way = _policy(plan, _Batching(policy, chunk, decodes, seconds("--delay", delay)))
    if pipeline.is_split:
        way = replace(way, routing="routes")
    queueing = queueing_of(plan, queue, starve)
    way = replace(way, queue=queueing.name, queue_params=queueing.params)
    require_queue(way, traffic, is_split=pipeline.is_split)
    outcome = run(pipeline, traffic, way, window, outages)
    if plot is not None and kind is not None:
        write_atomically(plot, outcome_picture(outcome, kind))
        say(f"wrote {plot}")
    emit(outcome_json(outcome) if as_json else outcome_text(outcome))


def _times_s(
    duration: str | None, warmup: str | None, trace: Path | None
) -> tuple[float | None, float | None]:
    """Return the simulated time, None if a trace ends it, and the warm-up."""
    given_s, warmup_s = seconds("--duration", duration), seconds("--warmup", warmup)
    duration_s = DURATION_S if given_s is None and trace is None else given_s
    if duration_s is not None and warmup_s is not None and warmup_s >= duration_s:
        message = f"--warmup: found {warmup}, needed less than the {duration_s:g} s of --duration"
        raise InputError(message)
    return duration_s, warmup_s


@dataclass(frozen=True, slots=True)
class _Batching:
    """What the options say about a stage's batches; None is the plan's."""

    scheduling: Scheduling
    chunk_tokens: int | None
    decodes: int | None
    delay_s: float | None


def _policy(plan: Plan, asked: _Batching) -> Policy:
    from hexplan_solver.simulate import WHOLE, policy_of_plan

    is_whole = asked.scheduling is Scheduling.WHOLE
    limits = {"--chunk": asked.chunk_tokens, "--decodes": asked.decodes}
    for option, limit in limits.items():
        if is_whole and limit is not None:
            message = f"{option}: found it with --policy whole, which has no limits of its own"
            raise InputError(message)
    policy = WHOLE if is_whole else policy_of_plan(plan)
    return replace(
        policy,
        delay_s=asked.delay_s or 0.0,
        chunk_tokens=asked.chunk_tokens or policy.chunk_tokens,
        max_decode_tokens=asked.decodes or policy.max_decode_tokens,
    )


def _pipeline(plan: Plan, prefill: str | None, decode: str | None) -> PipelineModel:
    """Return the plan's pipeline, split if some stages serve only prompts."""
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
        message = f"--decode-stages: found no use of {', '.join(idle)}, needed every stage"
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
    """Return the options' promise, or else that of the plan's workload."""
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
