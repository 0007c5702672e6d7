"""Handovers: how requests go through stages that serve one phase, as a plan states it."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from hexplan.cluster import Cluster
from hexplan.constants import MICRO, WEIGHT_DIGITS
from hexplan.plan import Handover, Hop, KvMove, Phase, Stage
from hexplan.spec import Spec
from hexplan_solver.flow.network import Network, stage_name
from hexplan_solver.plans.predicted import rate
from hexplan_solver.simulate.assembly import kv_layer_bytes
from hexplan_solver.simulate.pipeline_model import KvMove as Move
from hexplan_solver.simulate.pipeline_model import RouteModel, hops_of, kv_moves


def in_phases(stages: Sequence[Stage], routes: Sequence[RouteModel]) -> tuple[Stage, ...]:
    """Return stages with the phases that the routes use them for; without routes, as they are."""
    if not routes:
        return tuple(stages)
    prefill = {position for route in routes for position in route.stages}
    decode = {position for route in routes for position in route.decode_stages or ()}
    return tuple(
        stage.model_copy(update={"phase": _phase(j in prefill, j in decode)})
        for j, stage in enumerate(stages)
    )


def _phase(prefills: bool, decodes: bool) -> Phase:
    if prefills == decodes:
        return "both"
    return "prefill" if prefills else "decode"


def handovers_of(
    spec: Spec, network: Network, routes: Sequence[RouteModel]
) -> tuple[Handover, ...]:
    """Return the handovers of routes, with what their KV needs of the links."""
    layers = [stage.layers for stage in network.stages]
    return tuple(
        Handover(
            prefill=_hops(network, route.stages),
            decode=_hops(network, route.decode_stages),
            weight=Decimal(route.weight).scaleb(-WEIGHT_DIGITS),
            kv_moves=tuple(
                _move(spec, network, move)
                for move in kv_moves(layers, route.stages, route.decode_stages)
            ),
        )
        for route in routes
        if route.decode_stages is not None
    )


def _hops(network: Network, chain: Sequence[int]) -> tuple[Hop, ...]:
    layers = [stage.layers for stage in network.stages]
    return tuple(
        Hop(stage=stage_name(stage), enter_layer=enter)
        for stage, (enter, _) in hops_of(layers, chain)
    )


def _move(spec: Spec, network: Network, move: Move) -> KvMove:
    each = move.num_layers * kv_layer_bytes(spec.model) * spec.workload.prompt_tokens.mean
    hosts = (network.stages[end].host for end in (move.source, move.target))
    return KvMove(
        source=stage_name(move.source),
        target=stage_name(move.target),
        layers=move.layers,
        bytes_per_request=each,
        capacity_requests_per_s=rate(_bandwidth(spec.cluster, *hosts) * MICRO // each),
    )


def _bandwidth(cluster: Cluster, source: str, target: str) -> int:
    """Return the bytes per second between two stages' hosts, which some way joins."""
    inner = cluster.host_by_name[source].interconnect if source == target else None
    way = inner or cluster.link(source, target)
    assert way is not None, "KV is handed over only where the network has an arc"
    return way.bandwidth_bytes_per_s
