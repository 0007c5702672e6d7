"""Work: how long requests would take alone on a pipeline."""

from __future__ import annotations

from hexplan.schedule.queueing.work import Work
from hexplan_solver.flow.network import OUTSIDE
from hexplan_solver.simulate.entry import loop_of
from hexplan_solver.simulate.pipeline_model import PipelineModel, hops_of
from hexplan_solver.simulate.policy import Policy
from hexplan_solver.simulate.request_route import RequestRoutes


def work_of(pipeline: PipelineModel, policy: Policy) -> Work:
    """Return how long requests would take alone on the route that most of them take."""
    main = max(pipeline.routes, key=lambda route: route.weight)
    route = RequestRoutes(pipeline).of(main.stages, main.decode_stages)
    hops = hops_of([stage.layers for stage in pipeline.stages], main.stages)
    ends = dict(zip((OUTSIDE, *main.stages), (*main.stages, OUTSIDE), strict=True))
    edges = [edge for edge in pipeline.edges if ends.get(edge.source) == edge.target]

    def pass_s(tokens: int) -> float:
        seconds = sum(edge.latency_s for edge in edges)
        size = policy.chunk_tokens or tokens
        for first in range(0, tokens, size):
            chunk = min(size, tokens - first)
            for stage, (enter, end) in hops:
                steps = pipeline.stages[stage].steps
                reach = chunk * (first + chunk / 2)
                seconds += (end - enter) * steps.layer_s(chunk, reach, 0, 0.0)
            for edge in edges:
                width = chunk if edge.target != OUTSIDE else 0
                seconds += width * edge.token_bytes / edge.bytes_per_s
        return seconds + pipeline.stages[hops[-1][0]].steps.head_s(1)

    return Work(pass_s, loop_of(pipeline, route.decode).alone_s(1))
