"""Published placements as pipelines for the simulator."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from support.published import FOLDER

from hexplan.reading import read_spec
from hexplan.spec import Spec
from hexplan_solver.flow.max_flow import max_flow
from hexplan_solver.flow.network import OUTSIDE, Arc, Network, build_network
from hexplan_solver.placement.placement import PlacedStage
from hexplan_solver.problem.problem import Problem, build_problem
from hexplan_solver.simulate import PipelineModel, pipeline_of_flows, pipeline_of_placement

ROOT = Path(__file__).parents[2]
MICRO = 10**6
SINGLE24_30B = "helix-single24-llama30b"


@dataclass(frozen=True)
class Published:
    """Which placement, and how its flow is split."""

    spec: str
    method: str
    only: str = ""
    """The hosts whose names begin so, as a pipeline of their own."""
    is_open: bool = False
    """Whether every edge that the placement allows is used, without a flow."""


@cache
def published_problem(spec: str) -> Problem:
    return build_problem(_single24_30b() if spec == SINGLE24_30B else _read(spec))


def _single24_30b() -> Spec:
    """Return LLaMA-30B on all 24 machines of one site, which no file of ours plans for."""
    machines, measured = _read("helix-single24-llama70b"), _read("helix-geo24-llama30b")
    cluster = machines.cluster.model_copy(update={"profiles": measured.cluster.profiles})
    return Spec(cluster, measured.model, measured.workload)


def _read(spec: str) -> Spec:
    return read_spec(ROOT / "cluster_specs" / f"{spec}.yaml")


def published_pipeline(what: Published) -> PipelineModel:
    """Read a placement of benchmarks/published, and its flow where that was published too."""
    name = f"{what.spec}__{what.method}"
    placement: dict[str, list[int]] = json.loads((FOLDER / f"{name}.json").read_text())
    kept = {h: (a, b) for h, (a, b) in placement.items() if h.startswith(what.only)}
    flows, kv_tokens = _numbers(f"{name}__flow"), _numbers(f"{name}__kv")
    if what.is_open:
        pipeline = placed_pipeline(what.spec, kept, lambda arc: 1.0)
    elif flows:
        pipeline = placed_pipeline(what.spec, kept, lambda arc: flows.get(arc, 0.0))
    else:
        pipeline = placed_pipeline(what.spec, kept)
    if not kv_tokens:
        return pipeline
    by_layers = {kept[host]: int(kv_tokens[host]) for host in kept}
    stages = tuple(replace(s, measured_kv_tokens=by_layers[s.layers]) for s in pipeline.stages)
    return replace(pipeline, stages=stages)


def _numbers(name: str) -> dict[str, float]:
    file = FOLDER / f"{name}.json"
    found: dict[str, float] = json.loads(file.read_text()) if file.exists() else {}
    return found


def placed_pipeline(
    spec: str,
    placement: Mapping[str, tuple[int, int]],
    flow_on: Callable[[str], float] | None = None,
) -> PipelineModel:
    """Return the pipeline of a placement, with its largest flow or one given by `host>host`."""
    problem = published_problem(spec)
    network = build_network(
        problem.spec, [_stage(problem, host, layers) for host, layers in placement.items()]
    )
    if flow_on is None:
        return pipeline_of_placement(problem, network, max_flow(network))
    flows = {(arc.source, arc.target): flow_on(_arc_name(network, arc)) for arc in network.arcs}
    return pipeline_of_flows(problem, network, {arc: f for arc, f in flows.items() if f})


def _stage(problem: Problem, host: str, layers: tuple[int, int]) -> PlacedStage:
    """Place a stage, even where it holds more layers than were measured."""
    kind = next(k for k in problem.kinds if host in problem.classes[k.host_class].hosts)
    return PlacedStage(layers, host, (0,), kind.index, kind.rates.of(*layers) or MICRO)


def _arc_name(network: Network, arc: Arc) -> str:
    source = "entry" if arc.source == OUTSIDE else network.stages[arc.source].host
    target = "exit" if arc.target == OUTSIDE else network.stages[arc.target].host
    return f"{source}>{target}"
