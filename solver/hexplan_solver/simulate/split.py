"""Prefill and decode on different stages: the routes of each, and which go together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from hexplan.constants import RATE_DIGITS, WEIGHT_DIGITS
from hexplan.errors import InputError
from hexplan.plan import Phase, Plan
from hexplan.spec import Spec
from hexplan_solver.flow.max_flow import max_flow
from hexplan_solver.flow.network import Network
from hexplan_solver.flow.routes import Path
from hexplan_solver.placement.placement import PlacedStage
from hexplan_solver.problem.problem import Problem
from hexplan_solver.problem.shards import split
from hexplan_solver.simulate.assembly import (
    Hosted,
    pipeline_of_handovers,
    stages_of_placement,
    stages_of_plan,
)
from hexplan_solver.simulate.pipeline_model import PipelineModel, RouteModel, kv_moves

HINT = "a stage may serve both: `--prefill-stages s0,s1 --decode-stages s1,s2`"
NO_KIND = -1
"""Stands for the kind of a stage: only its flow is computed, which needs none."""


def pipeline_of_split_plan(plan: Plan, phases: Sequence[Phase]) -> PipelineModel:
    """Return what a plan describes if each of its stages serves the phase that is given for it.

    The routes of each phase are a largest flow through its stages. They are paired so that the KV
    that has to move takes the quickest links.

    Raises
    ------
    InputError
        If the stages of a phase form no route, or links are missing between the routes of the two.
    """
    placed = tuple(
        PlacedStage(
            stage.layers,
            stage.host,
            stage.devices,
            NO_KIND,
            int(stage.capacity_tokens_per_s.scaleb(RATE_DIGITS)),
        )
        for stage in plan.stages
    )
    return _pipeline(Network(Spec.of(plan), placed), stages_of_plan(plan), phases)


def pipeline_of_split_placement(
    problem: Problem, network: Network, phases: Sequence[Phase]
) -> PipelineModel:
    """Return the same for a placement, without making a plan of it first."""
    return _pipeline(network, stages_of_placement(problem, network), phases)


def _pipeline(network: Network, hosted: Sequence[Hosted], phases: Sequence[Phase]) -> PipelineModel:
    phased = [
        (host, replace(stage, phase=phase))
        for (host, stage), phase in zip(hosted, phases, strict=True)
    ]
    names = [stage.name for _, stage in phased]
    prefill, decode = (_paths(network, names, phases, phase) for phase in ("prefill", "decode"))
    routes = list(_paired(network, names, prefill, decode))
    return pipeline_of_handovers(network.spec, phased, routes)


def _paths(
    network: Network, names: Sequence[str], phases: Sequence[Phase], phase: str
) -> list[Path]:
    """Return the routes of a largest flow through the stages of a phase."""
    kept = [j for j, served in enumerate(phases) if served in ("both", phase)]
    flow = max_flow(Network(network.spec, tuple(network.stages[j] for j in kept)))
    if flow.value:
        return [Path(tuple(kept[j] for j in path.stages), path.amount) for path in flow.paths]
    num_layers = network.spec.model.layers
    held = {layer for j in kept for layer in range(*network.stages[j].layers)}
    missing = next((layer for layer in range(num_layers) if layer not in held), None)
    problem = "no links that join them" if missing is None else f"no layer {missing}"
    shown = ", ".join(names[j] for j in kept) or "(none)"
    message = f"{phase} stages {shown}: found {problem}, needed a route through {num_layers} layers"
    raise InputError(message, hint=HINT)


def _paired(
    network: Network, names: Sequence[str], prefill: Sequence[Path], decode: Sequence[Path]
) -> Iterator[RouteModel]:
    """Pair routes, those whose KV moves quickest first, until the shares of all are used up."""
    left, decode_left = (
        list(split(10**WEIGHT_DIGITS, [path.amount for path in paths]))
        for paths in (prefill, decode)
    )
    pairs = sorted(
        (effort, p, d)
        for p, first in enumerate(prefill)
        for d, then in enumerate(decode)
        if (effort := _effort(network, first, then)) is not None
    )
    for _, p, d in pairs:
        if weight := min(left[p], decode_left[d]):
            left[p] -= weight
            decode_left[d] -= weight
            yield RouteModel(prefill[p].stages, weight, decode[d].stages)
    for path, weight in zip(prefill, left, strict=True):
        if weight:
            chain = " > ".join(names[j] for j in path.stages)
            message = f"prefill route {chain}: found no links to a decode route, needed for its KV"
            raise InputError(message, hint=HINT)


def _effort(network: Network, prefill: Path, decode: Path) -> float | None:
    """Return how long links take for the KV of a token, in some unit; None if one is missing."""
    layers = [stage.layers for stage in network.stages]
    total = 0.0
    for move in kv_moves(layers, prefill.stages, decode.stages):
        arc = network.arc(move.source, move.target)
        if arc is None or not arc.capacity:
            return None
        total += move.num_layers / arc.capacity
    return total
