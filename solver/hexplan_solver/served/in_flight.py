"""How many requests the KV cache admits at a time (docs/served_rate.md)."""

from __future__ import annotations

from hexplan_solver.served.params import SERVED_PARAMS
from hexplan_solver.served.request import MeanRequest
from hexplan_solver.served.shares import Shares, part_that_runs
from hexplan_solver.simulate import PipelineModel, Policy


def requests_in_flight(
    pipeline: PipelineModel, shares: Shares, request: MeanRequest, policy: Policy
) -> float:
    """Return the mean requests in flight when as many come as the KV cache takes.

    A layer is kept by the stages that hold it; a request that enters a stage at its middle keeps
    KV there for the layers that it runs, which the feeder spreads over all of the stage. But no
    more requests fit than those that run a layer have room for.
    """
    room = [0.0] * pipeline.num_layers
    kept = [0.0] * pipeline.num_layers
    fitting = [0.0] * pipeline.num_layers
    for position, stage in enumerate(pipeline.stages):
        share, held = shares.stages[position], shares.held_layers[position]
        if share == 0:
            continue
        first, end = stage.layers
        measured = stage.measured_kv_tokens if policy.reservation.is_measured else None
        tokens = stage.kv_tokens if measured is None else measured
        whole = tokens * (end - first) * share / held
        for layer in range(first, end):
            room[layer] += tokens
            kept[layer] += held / (end - first)
            fitting[layer] += whole * part_that_runs(shares.entries[position], layer)
    tightest = min(r / k for r, k in zip(room, kept, strict=True) if k > 0)
    most = min(SERVED_PARAMS.high_water * tightest, min(fitting))
    return most / request.reserved_tokens
