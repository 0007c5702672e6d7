"""Why a stage has its degree: how fast its devices would be in other groups."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import accumulate, pairwise

from hexplan.constants import MICRO
from hexplan.cost import TENSOR, ShardSizes, Sharing
from hexplan.cost.memory import budget_bytes
from hexplan.cost.speed import find_profile
from hexplan.cost.weights import weights_bytes
from hexplan.field_types import Range
from hexplan.plan import Plan
from hexplan.results.explanation import Arrangement, Degree, DegreeOption
from hexplan.units import GIB
from hexplan_solver.explain.params import EXPLAIN_PARAMS
from hexplan_solver.placement.placement import PlacedStage
from hexplan_solver.problem.partitions import Group, partitions
from hexplan_solver.problem.problem import Problem, StageKind


def degrees_of(problem: Problem, plan: Plan, stages: Sequence[PlacedStage]) -> tuple[Degree, ...]:
    """Compare each kind of stage in use with other groups of the same devices.

    `stages` are those of the plan, in its order.
    """
    found: dict[tuple[int, int], list[int]] = {}
    for i, stage in enumerate(stages):
        size = stage.layers[1] - stage.layers[0]
        found.setdefault((stage.kind, size), []).append(i)
    degrees = []
    for (kind, _), members in found.items():
        stage = stages[members[0]]
        options = _options(problem, problem.kinds[kind], stage, stages)
        degrees.append(
            Degree(
                stages=tuple(plan.stages[i].id for i in members),
                group=problem.kinds[kind].group,
                layers=stage.layers,
                tokens_per_s=_tokens(stage.rate),
                options=options,
                parallel=plan.stages[members[0]].parallel,
                sp_degree=plan.stages[members[0]].sp_degree,
            )
        )
    return tuple(degrees)


def _options(
    problem: Problem, kind: StageKind, stage: PlacedStage, stages: Sequence[PlacedStage]
) -> tuple[DegreeOption, ...]:
    told = [
        option
        for groups in _other_groups(kind.group)
        for option in (
            _in_turn(problem, kind, groups, stage.layers),
            _side_by_side(problem, kind, groups, stage.layers),
        )
    ]
    joined = _joined(problem, kind, stage, stages)
    if joined is not None:
        told.append(joined)
    told.sort(key=lambda option: -(option.tokens_per_s or Decimal(-1)))
    possible = [option for option in told if option.tokens_per_s is not None]
    stopped = [option for option in told if option.tokens_per_s is None]
    # At least one impossible option is told, if there is one: its reason answers the question.
    most = EXPLAIN_PARAMS.max_options
    kept = possible[: most - min(1, len(stopped))]
    return (*kept, *stopped[: most - len(kept)])


def _other_groups(group: Group) -> Iterator[tuple[Group, ...]]:
    """Yield the ways to split a group: into equal parts if its devices are alike, or else all."""
    for way in partitions(group):
        is_even = len(set(way)) == 1
        if len(way) > 1 and (is_even or len(set(group)) > 1):
            yield way


def _kind_of(problem: Problem, like: StageKind, group: Group) -> StageKind | None:
    matches = (k for k in problem.kinds if k.host_class == like.host_class and k.group == group)
    return next(matches, None)


def _in_turn(
    problem: Problem, kind: StageKind, groups: tuple[Group, ...], layers: Range
) -> DegreeOption:
    """Place the groups one after another, with layers so that the slowest is as fast as it can be.

    A dynamic program over the groups: for each end of a group's layers, the best rate so far.
    """
    if layers[1] - layers[0] < len(groups):
        reason = f"{layers[1] - layers[0]} layers are too few for {len(groups)} stages in turn"
        return _stopped(groups, (), "in turn", reason)
    best: dict[int, tuple[int, tuple[int, ...]]] = {layers[0]: (2**62, ())}
    for group in groups:
        part = _kind_of(problem, kind, group)
        after: dict[int, tuple[int, tuple[int, ...]]] = {}
        for start, (rate, sizes) in best.items():
            for end in range(start + 1, layers[1] + 1):
                passed = min(rate, _rate(part, (start, end)))
                if passed and passed > after.get(end, (0, ()))[0]:
                    after[end] = (passed, (*sizes, end - start))
        best = after
    if layers[1] not in best:
        even = -(-(layers[1] - layers[0]) // len(groups))
        reason = _why_not(problem, kind, groups[0], (layers[0], layers[0] + even))
        return _stopped(groups, (even,) * len(groups), "in turn", reason)
    rate, sizes = best[layers[1]]
    ranges = pairwise(accumulate(sizes, initial=layers[0]))
    sharings = tuple(
        _sharing(_kind_of(problem, kind, group), part)
        for group, part in zip(groups, ranges, strict=True)
    )
    return _running(groups, sizes, "in turn", rate, sharings)


def _side_by_side(
    problem: Problem, kind: StageKind, groups: tuple[Group, ...], layers: Range
) -> DegreeOption:
    """Let each group hold all layers, so that the rates add up."""
    sizes = (layers[1] - layers[0],) * len(groups)
    rates = [(group, _rate(_kind_of(problem, kind, group), layers)) for group in groups]
    failing = next((group for group, rate in rates if not rate), None)
    if failing is not None:
        return _stopped(groups, sizes, "side by side", _why_not(problem, kind, failing, layers))
    sharings = tuple(_sharing(_kind_of(problem, kind, group), layers) for group in groups)
    return _running(groups, sizes, "side by side", sum(rate for _, rate in rates), sharings)


def _joined(
    problem: Problem, kind: StageKind, stage: PlacedStage, stages: Sequence[PlacedStage]
) -> DegreeOption | None:
    """Join all stages of the host into one, if their ranges form a chain or are all the same."""
    here = sorted(s for s in stages if s.host == stage.host)
    is_chain = all(a.layers[1] == b.layers[0] for a, b in pairwise(here))
    is_one = len({s.layers for s in here}) == 1
    if len(here) < 2 or not (is_chain or is_one):
        return None
    layers = (here[0].layers[0], here[-1].layers[1])
    group = tuple(sorted(name for s in here for name in problem.kinds[s.kind].group))
    rate = _rate(_kind_of(problem, kind, group), layers)
    sizes = (layers[1] - layers[0],)
    if not rate:
        return _stopped((group,), sizes, "joined", _why_not(problem, kind, group, layers))
    sharing = _sharing(_kind_of(problem, kind, group), layers)
    return _running((group,), sizes, "joined", rate, (sharing,))


def _running(
    groups: tuple[Group, ...],
    layers: tuple[int, ...],
    arrangement: Arrangement,
    rate: int,
    sharings: Sequence[Sharing],
) -> DegreeOption:
    return DegreeOption(
        groups=groups,
        layers=layers,
        arrangement=arrangement,
        tokens_per_s=_tokens(rate),
        stopped=None,
        parallel=tuple(sharing.parallel for sharing in sharings),
        sp_degrees=tuple(sharing.sp_degree for sharing in sharings),
    )


def _stopped(
    groups: tuple[Group, ...], layers: tuple[int, ...], arrangement: Arrangement, reason: str
) -> DegreeOption:
    return DegreeOption(
        groups=groups, layers=layers, arrangement=arrangement, tokens_per_s=None, stopped=reason
    )


def _why_not(problem: Problem, like: StageKind, group: Group, layers: Range) -> str:
    """Say why a group cannot hold some layers, with the numbers."""
    model = problem.spec.model
    if len(group) > model.as_held_by(len(group)).kv_heads:
        return (
            f"{len(group)} devices outnumber the KV heads of {model.name} ({model.kv_heads}),"
            f" and are no multiple of them that divides its query heads ({model.heads})"
        )
    host = problem.spec.cluster.host_by_name[problem.classes[like.host_class].hosts[0]]
    if host.parts:
        return f"{host.label} are joined, so that all their devices form one stage"
    types = problem.spec.cluster.device_type_by_name
    for name in dict.fromkeys(group):
        if not types[name].runs(model.dtype):
            return f"{name} does not compute in {model.dtype}"
    part = _kind_of(problem, like, group)
    held = layers[1] - layers[0]
    if part is None:
        return "it cannot hold even one layer, or a device would get no KV head"
    profile = find_profile(problem.spec.cluster, [types[name] for name in group])
    if profile is not None and held > len(profile.tokens_per_s):
        return f"{held} layers, measured for at most {len(profile.tokens_per_s)}"
    # Counted from the same first layer, since the first and the last hold the vocabulary's tables.
    room = max((k for k in range(1, held) if _rate(part, (layers[0], layers[0] + k))), default=0)
    model = model.as_held_by(len(group))
    whole = ShardSizes(model.kv_heads, model.ffn, model.vocab)
    weights = weights_bytes(model, whole, layers) / GIB
    budget = sum(budget_bytes(problem.spec.cluster, types[name]) for name in group) / GIB
    return (
        f"{held} layers weigh {weights:.1f} GiB; of {budget:.1f} GiB, beside one longest request,"
        f" there is room for {room}"
    )


def _rate(kind: StageKind | None, layers: Range) -> int:
    if kind is None or layers[1] - layers[0] > kind.rates.max_layers:
        return 0
    return kind.rates.of(*layers)


def _sharing(kind: StageKind | None, layers: Range) -> Sharing:
    return TENSOR if kind is None else kind.rates.sharing_of(*layers)


def _tokens(micro: int) -> Decimal:
    return Decimal(micro) / MICRO
