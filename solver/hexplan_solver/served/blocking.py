"""What is served where prompts run whole, inside the steps of decodes.

Such prompts block what they meet: decodes catch up with a slow one, join its step and stay behind
it. Requests in flight over that time put the placements of one cluster in the order in which the
simulator does (docs/served_rate.md).
"""

from __future__ import annotations

from hexplan_solver.served.request import MeanRequest
from hexplan_solver.served.shares import Shares
from hexplan_solver.served.visits import way_of
from hexplan_solver.simulate import PipelineModel


def blocked_s(pipeline: PipelineModel, shares: Shares, request: MeanRequest) -> float:
    """Return `sum over stages of f^2 w + sum over edges of f^2 m`, in seconds.

    f is the share of requests that pass, w the time of a mean prompt in a stage's layers, and m
    what it takes on an edge. A prompt is met by the share that it is of what passes, so f counts
    twice.
    """
    whole, total = int(request.prompt_tokens), 0.0
    visits = zip(pipeline.stages, shares.stages, shares.held_layers, strict=True)
    for stage, share, held in visits:
        # Of `share` requests, each runs `held / share` layers here.
        total += share * held * stage.steps.layer_s(whole, whole * whole / 2, 0, 0)
    for edge, share in zip(pipeline.edges, shares.edges, strict=True):
        way = way_of(pipeline, edge, share, request)
        total += share * share * way.token_s * way.prompt_tokens
    return total
