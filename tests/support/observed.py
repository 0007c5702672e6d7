"""Observations of a launch whose stages take known multiples of the plan's times."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hexplan.cluster import Correction
from hexplan.cost import DeviceShard, ShardSizes, StageShape
from hexplan.cost.sharing import Sharing
from hexplan.cost.stage_step_times import stage_step_times
from hexplan.cost.step_times import StepTimes
from hexplan.measured.observations import LaunchSeen, Load, Observations, StepSeen, TransferSeen
from hexplan.plan import Plan, Stage
from hexplan.spec import Spec

LAUNCH = LaunchSeen(begun="2026-11-25T12:00:00+00:00", hardware="a CPU", cores=4, torch="2")
WARMUP = 2


@dataclass(frozen=True)
class Run:
    """How a launch went."""

    truth: tuple[Correction, ...]
    """What the stages really take."""
    prefills: int = 40
    decodes: int = 120
    mixed: int = 20
    noise: float = 0.0
    """Standard deviation of the logarithm of each step's time."""
    outliers: float = 0.0
    """Share of the steps that take ten times as long."""
    seed: int = 1


def observe(plan: Plan, *runs: Run, transfers: Sequence[TransferSeen] = ()) -> Observations:
    """Return what these launches of a plan show; the first steps of each take far longer."""
    steps = tuple(tuple(_steps(plan, run)) for run in runs)
    return Observations((LAUNCH,) * len(runs), steps, tuple(transfers))


def _steps(plan: Plan, run: Run) -> Iterator[StepSeen]:
    rng = random.Random(run.seed)
    for stage in plan.stages:
        times = _times(plan, stage, run.truth)
        kinds = ["p"] * run.prefills + ["d"] * run.decodes + ["m"] * run.mixed
        rng.shuffle(kinds)
        for index, kind in enumerate([*"p" * WARMUP, *kinds]):
            work = _work(rng, kind)
            rows = work[2] + (kind == "p")
            seconds = (stage.layers[1] - stage.layers[0]) * times.layer_s(*work)
            seconds += times.head_s(rows) if stage.layers[1] == plan.model.layers else 0.0
            seconds *= rng.lognormvariate(0.0, run.noise) if run.noise else 1.0
            slow = 50 if index < WARMUP else 10 if rng.random() < run.outliers else 1
            load = Load(
                enter_layer=stage.layers[0],
                prompt_tokens=work[0],
                reach=work[1],
                decode_tokens=work[2],
                context=int(work[3]),
            )
            yield StepSeen(
                stage=stage.id,
                at_s=float(index),
                seconds=seconds * slow,
                loads=(load,),
                sampled_rows=rows,
            )


def _work(rng: random.Random, kind: str) -> tuple[int, float, int, float]:
    """Return prompt tokens, their reach, decode tokens and their context."""
    prompt = rng.randint(2, 100) if kind in "pm" else 0
    decode = rng.randint(1, 24) if kind in "dm" else 0
    return prompt, prompt * prompt / 2, decode, decode * rng.randint(10, 100)


def _times(plan: Plan, stage: Stage, truth: tuple[Correction, ...]) -> StepTimes:
    cluster = plan.cluster.model_copy(update={"corrections": truth})
    host = cluster.host_by_name[stage.host]
    types = cluster.device_type_by_name
    group = tuple(
        DeviceShard(types[host.devices[shard.device]], ShardSizes.of(shard))
        for shard in stage.shards
    )
    sharing = Sharing(stage.parallel, stage.shift_tokens, stage.sp_degree)
    shape = StageShape(stage.layers, group, host.interconnect, sharing)
    return stage_step_times(Spec(cluster, plan.model, plan.workload), shape)
