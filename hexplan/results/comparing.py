"""Compare two plans: stages by the devices that run them, edges by the stages at their ends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

from hexplan.cost.movement import HeldWeights, moved_bytes
from hexplan.plan import Hop, Plan, Stage
from hexplan.results.difference import Change, Difference, EdgeChange, Figure, StageChange

Slot = tuple[str, int]
"""A device: host name and index."""


def difference(before: Plan, after: Plan) -> Difference:
    """Return what differs between two plans.

    Ids of stages mean nothing here: two plans may number the same stages differently.
    """
    held = _held(before) if before.model == after.model else {}
    stages = tuple(_stages(before, after, held))
    return Difference(
        inputs=tuple(_inputs(before, after)),
        figures=tuple(_figures(before, after)),
        stages=stages,
        edges=tuple(_edges(before, after)),
        fetched_bytes=sum(stage.fetched_bytes for stage in stages),
        has_other_handovers=_ways(before) != _ways(after),
    )


def _inputs(before: Plan, after: Plan) -> Iterator[str]:
    for name in ("cluster", "model", "workload", "objective"):
        if getattr(before, name) != getattr(after, name):
            yield name


def _figures(before: Plan, after: Plan) -> Iterator[Figure]:
    old, new = _stated(before), _stated(after)
    for (name, unit), value in new.items():
        if old[name, unit] != value:
            yield Figure(name=name, unit=unit, before=old[name, unit], after=value)


def _stated(plan: Plan) -> Mapping[tuple[str, str], Decimal | None]:
    predicted = plan.predicted
    rate = predicted.sustained
    sustained = rate.simulated or rate if rate else None
    return {
        ("flow", "tokens/s"): predicted.tokens_per_s,
        ("bound", "tokens/s"): plan.certificate.bound_tokens_per_s,
        ("sustained", "decoded tokens/s"): sustained.decode_tokens_per_s if sustained else None,
        ("sustained", "requests/s"): sustained.requests_per_s if sustained else None,
        ("within the SLO", "requests/s"): predicted.slo_requests_per_s,
        ("TTFT", "s"): predicted.ttft_s,
        ("TPOT", "s"): predicted.tpot_s,
        ("cost", "USD/h"): predicted.cost_usd_per_h,
    }


def _held(plan: Plan) -> dict[Slot, HeldWeights]:
    return {
        (stage.host, device): weights
        for stage in plan.stages
        for device, weights in zip(stage.devices, HeldWeights.of(stage), strict=True)
    }


def _stages(before: Plan, after: Plan, held: Mapping[Slot, HeldWeights]) -> Iterator[StageChange]:
    old, new = ({_place(stage): stage for stage in plan.stages} for plan in (before, after))
    is_same_model = before.model == after.model
    for place in sorted({*old, *new}):
        was, now = old.get(place), new.get(place)
        if was is not None and now is not None and is_same_model and _is_same(was, now):
            continue
        yield _change(was, now, after, held)


def _is_same(was: Stage, now: Stage) -> bool:
    is_alike = was.room_tokens == now.room_tokens and was.phase == now.phase
    return _keeps_requests(was, now) and is_alike


def _keeps_requests(was: Stage, now: Stage) -> bool:
    names = ("layers", "shards", "parallel", "shift_tokens", "sp_degree", "kv_offload")
    return all(getattr(was, name) == getattr(now, name) for name in names)


def _change(
    was: Stage | None, now: Stage | None, after: Plan, held: Mapping[Slot, HeldWeights]
) -> StageChange:
    stage = now or was
    assert stage is not None
    kind: Change = "changed" if was and now else "added" if now else "removed"
    fetched = [
        moved_bytes(after.model, held.get((one.host, device)), weights)
        for one in ([] if now is None else [now])
        for device, weights in zip(one.devices, HeldWeights.of(one), strict=True)
    ]
    return StageChange(
        host=stage.host,
        devices=stage.devices,
        change=kind,
        before=was.layers if was else None,
        after=now.layers if now else None,
        phases=(was.phase if was else "both", now.phase if now else "both"),
        kv_tokens=(was.room_tokens if was else 0, now.room_tokens if now else 0),
        fetched_bytes=sum(fetched),
        keeps_requests=bool(was and now and held and _keeps_requests(was, now)),
    )


def _edges(before: Plan, after: Plan) -> Iterator[EdgeChange]:
    old, new = _flows(before), _flows(after)
    for source, target in sorted({*old, *new}):
        ends = source, target
        was, now = old.get(ends, Decimal(0)), new.get(ends, Decimal(0))
        if was != now:
            yield EdgeChange(
                source=source, target=target, before_tokens_per_s=was, after_tokens_per_s=now
            )


def _flows(plan: Plan) -> Mapping[tuple[str, str], Decimal]:
    names = {stage.id: _name(stage) for stage in plan.stages}
    return {
        (names.get(e.source, e.source), names.get(e.target, e.target)): e.tokens_per_s
        for e in plan.edges
    }


def _ways(plan: Plan) -> Mapping[object, Decimal]:
    """Return the weights of handovers, by the devices of their stages."""
    names = {stage.id: _name(stage) for stage in plan.stages}

    def chain(hops: Sequence[Hop]) -> tuple[str, ...]:
        return tuple(names.get(hop.stage, hop.stage) for hop in hops)

    return {(chain(one.prefill), chain(one.decode)): one.weight for one in plan.handovers}


def _place(stage: Stage) -> tuple[str, tuple[int, ...]]:
    return stage.host, tuple(sorted(stage.devices))


def _name(stage: Stage) -> str:
    return f"{stage.host}:{','.join(map(str, sorted(stage.devices)))}"
