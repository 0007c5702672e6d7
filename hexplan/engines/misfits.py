"""What of a plan an engine cannot run."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby, pairwise

from hexplan.engines.engine import Engine
from hexplan.engines.misfit import Misfit, MisfitKind
from hexplan.engines.replica import PlacedRanks, Replica, replicas_of
from hexplan.engines.whole import whole_misfits
from hexplan.model import Model
from hexplan.plan import Plan

_PLAIN_KV = ("float32", "float16", "bfloat16")


def misfits(plan: Plan, engine: Engine) -> tuple[Misfit, ...]:
    """Return everything that an engine cannot run, in the order of the plan; none if it runs all.

    Names that the plan lacks are left out: `check` reports them.
    """
    found = [*_format_misfits(plan, engine), *whole_misfits(plan, engine)]
    for stage in plan.stages:
        if engine.tensor_only and stage.tp > 1 and stage.parallel != "tp":
            found.append(
                Misfit(
                    MisfitKind.SHARING,
                    f"stage {stage.id}",
                    f"it is {stage.parallel}",
                    "tp",
                    "set limits.parallel to [tp]",
                )
            )
    for replica in replicas_of(plan):
        found += _replica_misfits(plan, replica, engine)
    return tuple(dict.fromkeys(found))


def _replica_misfits(plan: Plan, replica: Replica, engine: Engine) -> Iterator[Misfit]:
    yield from _degrees(replica, engine)
    if engine.heads_once:
        yield from _copies(plan, replica, engine)
    if engine.even_shards:
        for placed in replica.stages:
            yield from _shards(plan, placed, engine)
    if engine.stage_on_one_machine:
        yield from _machines_of_stages(replica, engine)
    if engine.equal_ranks:
        yield from _ranks(replica, engine)
    kinds = sorted({rank.kind for rank in replica.ranks if rank.kind})
    if engine.one_platform and len(kinds) > 1:
        yield Misfit(
            MisfitKind.MIXED_PLATFORMS,
            replica.where,
            f"its devices are {' and '.join(kinds)}",
            f"one of these, as the ranks of {engine.title} share one collective library",
            "exclude the devices of one kind, or use an engine that mixes them",
        )
    if engine.star_of_hosts:
        yield from _star(replica, engine)


def unread_format(model: Model, engine: Engine) -> Misfit | None:
    """Say that an engine does not read the weights of a model; None if it does."""
    known = engine.weight_formats
    label = None if model.weights is None else model.weights.label or model.weights.name
    if label is None or known is None or label in known:
        return None
    return Misfit(
        MisfitKind.FORMAT,
        "model",
        f"its weights are {label}",
        f"16 or 32 bits, or {', '.join(known)}",
        f"set `weights` of the model to a format that {engine.title} reads",
    )


def splits_tensors(model: Model, engine: Engine, num_devices: int) -> bool:
    """Say whether an engine runs stages of so many devices with the model's heads and KV cache."""
    has_heads = not engine.heads_once or num_devices <= model.kv_heads
    return has_heads and (num_devices == 1 or _keeps_kv(model, engine))


def _keeps_kv(model: Model, engine: Engine) -> bool:
    return not engine.plain_kv_in_tensor or (model.kv_dtype or model.dtype) in _PLAIN_KV


def _format_misfits(plan: Plan, engine: Engine) -> Iterator[Misfit]:
    model = plan.model
    unread = unread_format(model, engine)
    if unread is not None:
        yield unread
    kv = model.kv_dtype or model.dtype
    if not _keeps_kv(model, engine):
        for stage in plan.stages:
            if stage.tp > 1:
                yield Misfit(
                    MisfitKind.FORMAT,
                    f"stage {stage.id}",
                    f"its {stage.tp} devices keep the KV cache in {kv}",
                    "16 or 32 bits, which a stage of several devices has to keep it in",
                    "set `kv_cache` of the model to float16",
                )


def _degrees(replica: Replica, engine: Engine) -> Iterator[Misfit]:
    degrees = {placed.stage.id: placed.stage.tp for placed in replica.stages}
    stated = ", ".join(f"{name} has {degree}" for name, degree in degrees.items())
    if engine.one_degree and len(set(degrees.values())) > 1:
        yield Misfit(
            MisfitKind.MIXED_DEGREES,
            replica.where,
            f"its stages differ in their devices: {stated}",
            "equally many in all stages of a replica",
            f"solve with `limits: {{engine: {engine.name}}}`",
        )
    if engine.single_devices_in_chains and len(degrees) > 1 and max(degrees.values()) > 1:
        yield Misfit(
            MisfitKind.MIXED_DEGREES,
            replica.where,
            f"it has {len(degrees)} stages, and not one device in each: {stated}",
            "one stage, or one device in each",
            f"solve with `limits: {{engine: {engine.name}}}`",
        )


def _copies(plan: Plan, replica: Replica, engine: Engine) -> Iterator[Misfit]:
    heads = plan.model.kv_heads
    for stage in (placed.stage for placed in replica.stages):
        if stage.tp > heads:
            yield Misfit(
                MisfitKind.UNEVEN_SHARDS,
                f"stage {stage.id}",
                f"its {stage.tp} devices share {heads} KV heads",
                f"at most {heads} devices",
                f"solve with `limits: {{engine: {engine.name}}}`",
            )


def _shards(plan: Plan, placed: PlacedRanks, engine: Engine) -> Iterator[Misfit]:
    stage, heads = placed.stage, plan.model.kv_heads
    where, hint = f"stage {stage.id}", f"solve with `limits: {{engine: {engine.name}}}`"
    if stage.tp and heads % stage.tp and stage.tp % heads:
        found = f"its {stage.tp} devices share {heads} KV heads"
        needed = f"a degree that divides {heads}, or a multiple of it"
        yield Misfit(MisfitKind.UNEVEN_SHARDS, where, found, needed, hint)
        return
    for part, ranges in (
        ("KV heads", [shard.kv_heads for shard in stage.shards]),
        ("FFN channels", [shard.ffn for shard in stage.shards]),
    ):
        sizes = [end - first for first, end in ranges]
        if len(set(sizes)) > 1:
            found = f"its devices have {' and '.join(map(str, sizes))} {part}"
            yield Misfit(MisfitKind.UNEVEN_SHARDS, where, found, "equal shards", hint)


def _machines_of_stages(replica: Replica, engine: Engine) -> Iterator[Misfit]:
    for placed in replica.stages:
        machines = list(dict.fromkeys(rank.machine for rank in placed.ranks))
        if len(machines) > 1:
            yield Misfit(
                MisfitKind.SEVERAL_MACHINES,
                f"stage {placed.stage.id}",
                f"its devices are on {' and '.join(machines)}",
                f"one machine, as {engine.title} shares out tensors within one alone",
                "remove `limits.join`",
            )


def _ranks(replica: Replica, engine: Engine) -> Iterator[Misfit]:
    counts = replica.ranks_by_machine
    hint = f"solve with `limits: {{engine: {engine.name}}}`"
    if len(set(counts.values())) > 1:
        stated = ", ".join(f"{name} {count}" for name, count in counts.items())
        yield Misfit(
            MisfitKind.UNEQUAL_RANKS,
            replica.where,
            f"its machines carry unequal numbers of ranks: {stated}",
            "equally many on each",
            hint,
        )
    visits = [name for name, _ in groupby(rank.machine for rank in replica.ranks)]
    again = sorted({name for name in visits if visits.count(name) > 1})
    if again:
        yield Misfit(
            MisfitKind.HOST_AGAIN,
            replica.where,
            f"it comes back to {' and '.join(again)} after other machines",
            "all its ranks of a machine one after the other",
            hint,
        )


def _star(replica: Replica, engine: Engine) -> Iterator[Misfit]:
    if not replica.stages:
        return
    main = replica.stages[-1].stage.host
    for one, other in pairwise(placed.stage for placed in replica.stages):
        if one.host != other.host and main not in (one.host, other.host):
            yield Misfit(
                MisfitKind.PAST_MAIN_HOST,
                replica.where,
                f"{one.id} on {one.host} sends to {other.id} on {other.host}",
                f"its main host {main} at one end, as all that hosts exchange passes it",
                f"solve with `limits: {{engine: {engine.name}}}`",
            )
