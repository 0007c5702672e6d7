"""Handovers: how requests go through stages that serve one phase, and how their KV moves."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import pairwise

from hexplan.check.exact import exact, round_down
from hexplan.check.flow.edges import shared_capacities
from hexplan.check.lookup import Connection, Lookup
from hexplan.check.rule import Rule, Violation
from hexplan.check.stage.sizes import length
from hexplan.check.text import number, span
from hexplan.field_types import Range
from hexplan.plan import ENTRY, EXIT, Handover, Hop, KvMove, Phase

Moved = tuple[str, str, Range]
"""The stage that prefills some layers, the one that decodes them, and the layers."""

SPLIT_UNJUDGED = Rule(
    "HEX613",
    "split-unjudged",
    "Handovers are stated under the objective slo alone, whose simulation follows them, and without"
    " a sustained rate, whose formula knows no phases.",
)


def handover_violations(lookup: Lookup) -> Iterator[Violation]:
    """Yield phases without handovers, and handovers that do not serve requests as stated."""
    plan = lookup.plan
    yield from _phases(lookup)
    if not plan.handovers:
        return
    if plan.objective != "slo":
        message = f"the objective {plan.objective} judges no handovers"
        yield SPLIT_UNJUDGED.at("handovers", message)
    if plan.predicted.sustained is not None:
        message = "it is stated of a plan whose stages serve one phase each"
        yield SPLIT_UNJUDGED.at("prediction, sustained", message)
    yield from _weights(plan.handovers)
    # Each judges what the one before has found to hold together.
    for judge in (_chains, _kv_moves):
        broken = [found for where, one in _named(lookup) for found in judge(lookup, where, one)]
        yield from broken
        if broken:
            return
    yield from _loads(lookup)


def _named(lookup: Lookup) -> Iterator[tuple[str, Handover]]:
    for index, handover in enumerate(lookup.plan.handovers):
        yield f"handover {index}", handover


PHASE_WRONG = Rule(
    "HEX608",
    "phase-wrong",
    "A stage serves the phases for which handovers use it; where there are none, it serves both."
    " Where `limits.phases` is `together`, there are none.",
)


def _phases(lookup: Lookup) -> Iterator[Violation]:
    handovers = lookup.plan.handovers
    if handovers and lookup.plan.cluster.limits.phases == "together":
        yield PHASE_WRONG.at("handovers", "`limits.phases` is `together`")
    prefill = {hop.stage for handover in handovers for hop in handover.prefill}
    decode = {hop.stage for handover in handovers for hop in handover.decode}
    for stage in lookup.plan.stages:
        used: list[Phase] = []
        if stage.id in prefill or not handovers:
            used.append("prefill")
        if stage.id in decode or not handovers:
            used.append("decode")
        serves = "both" if len(used) > 1 else used[0] if used else "nothing"
        if stage.phase != serves:
            message = f"states {stage.phase}, but the handovers use it for {serves}"
            if not handovers:
                message = f"states {stage.phase}, but the plan has no handovers"
            yield PHASE_WRONG.at(f"stage {stage.id}", message)


HANDOVER_WEIGHTS = Rule(
    "HEX610",
    "handover-weights",
    "The weights of handovers are above 0 and sum to exactly 1, and each pair of routes is listed"
    " once.",
)


def _weights(handovers: Sequence[Handover]) -> Iterator[Violation]:
    total = sum((exact(handover.weight) for handover in handovers), Fraction(0))
    if total != 1:
        message = f"weights sum to {number(total)}, must sum to exactly 1"
        yield HANDOVER_WEIGHTS.at("handovers", message)
    for index, handover in enumerate(handovers):
        if handover.weight <= 0:
            yield HANDOVER_WEIGHTS.at(f"handover {index}", "no request takes it")
    pairs = Counter(
        tuple(tuple(hop.stage for hop in hops) for hops in (one.prefill, one.decode))
        for one in handovers
    )
    for (prefill, decode), count in pairs.items():
        if count > 1:
            shown = f"{' > '.join(prefill)} to {' > '.join(decode)}"
            yield HANDOVER_WEIGHTS.at("handovers", f"{shown} is listed {count} times")


HANDOVER_BROKEN = Rule(
    "HEX609",
    "handover-broken",
    "Both routes of a handover start at layer 0, enter each stage inside its range where the last"
    " one ended, end at L, and follow links.",
)


def _chains(lookup: Lookup, where: str, handover: Handover) -> Iterator[Violation]:
    for phase, hops in (("prefill", handover.prefill), ("decode", handover.decode)):
        yield from _chain(lookup, f"{where}, {phase}", hops)


def _chain(lookup: Lookup, where: str, hops: Sequence[Hop]) -> Iterator[Violation]:
    reached = 0
    for hop in hops:
        first, end = lookup.stages[hop.stage].layers
        if hop.enter_layer != reached or not first <= reached < end:
            message = (
                f"enters {hop.stage}, which holds {span((first, end))}, at {hop.enter_layer};"
                f" the layers before end at {reached}"
            )
            yield HANDOVER_BROKEN.at(where, message)
        reached = end
    if reached != lookup.plan.model.layers:
        message = f"ends at layer {reached}, must end at {lookup.plan.model.layers}"
        yield HANDOVER_BROKEN.at(where, message)
    for source, target in steps_of_chain(hops):
        if lookup.connection(source, target) is None or not lookup.joins(source, target):
            yield HANDOVER_BROKEN.at(where, f"no link joins {source} and {target}")


def steps_of_chain(hops: Sequence[Hop]) -> list[tuple[str, str]]:
    """Return the ends of each step of a route, from entry to exit."""
    return list(pairwise((ENTRY, *(hop.stage for hop in hops), EXIT)))


KV_MOVES_WRONG = Rule(
    "HEX611",
    "kv-moves-wrong",
    "A handover lists all KV that its prompts leave on other stages than those that decode it: per"
    " layer, 2 vectors of all KV heads for each token of a mean prompt; and a link that lets"
    " activations pass carries it, bandwidth over bytes per request, rounded down to 1e-6.",
)


def _kv_moves(lookup: Lookup, where: str, handover: Handover) -> Iterator[Violation]:
    stated = [(move.source, move.target, move.layers) for move in handover.kv_moves]
    ranges = {stage.id: stage.layers for stage in lookup.plan.stages}
    needed = list(moved_kv(ranges, handover.prefill, handover.decode))
    if stated != needed:
        shown = ", ".join(f"{s} > {t} {span(layers)}" for s, t, layers in needed) or "nothing"
        yield KV_MOVES_WRONG.at(where, f"what has to move is {shown}")
        return
    for move in handover.kv_moves:
        yield from _kv_move(lookup, f"{where}, KV {move.source} > {move.target}", move)


def moved_kv(
    ranges: Mapping[str, Range], prefill: Sequence[Hop], decode: Sequence[Hop]
) -> Iterator[Moved]:
    """Yield the KV that has to move, in the order of the layers, given the ranges of the stages."""
    for source in prefill:
        for target in decode:
            first = max(source.enter_layer, target.enter_layer)
            end = min(ranges[hop.stage][1] for hop in (source, target))
            if source.stage != target.stage and first < end:
                yield source.stage, target.stage, (first, end)


def _kv_move(lookup: Lookup, where: str, move: KvMove) -> Iterator[Violation]:
    needed = kv_bytes(lookup, move.layers)
    if move.bytes_per_request != needed:
        message = f"states {move.bytes_per_request} bytes per request, needed {needed}"
        yield KV_MOVES_WRONG.at(where, message)
    connection = lookup.connection(move.source, move.target)
    if connection is None:
        yield KV_MOVES_WRONG.at(where, "no link lets it pass")
        return
    carried = round_down(Fraction(connection.bandwidth_bytes_per_s, needed))
    if exact(move.capacity_requests_per_s) != carried:
        message = (
            f"states {number(move.capacity_requests_per_s)} requests/s, but"
            f" {connection.bandwidth_bytes_per_s} bytes/s / {needed} bytes = {number(carried)}"
        )
        yield KV_MOVES_WRONG.at(where, message)


def kv_bytes(lookup: Lookup, layers: Range) -> int:
    """Return the bytes of the KV of a mean prompt in some layers."""
    model, prompt = lookup.plan.model, lookup.plan.workload.prompt_tokens.mean
    return 2 * length(layers) * model.kv_heads * model.head_dim * model.kv_bytes * prompt


HANDOVERS_OVERLOAD = Rule(
    "HEX612",
    "handovers-overload",
    "At the SLO's rate, the tokens, activations and KV that handovers send over a link, NIC, trunk"
    " or interconnect between two stages are no more than it carries.",
)


def _loads(lookup: Lookup) -> Iterator[Violation]:
    rate = lookup.plan.predicted.slo_requests_per_s
    if rate is None:
        return
    loads, capacities = _Loads(lookup), shared_capacities(lookup)
    for handover in lookup.plan.handovers:
        loads.add(handover)
    for name, num_bytes in loads.bytes_per_request.items():
        capacity = loads.bandwidths.get(name, capacities.get(name))
        sent = num_bytes * exact(rate)
        if capacity is not None and sent > capacity:
            message = f"carries {number(sent)} bytes/s of {capacity}"
            yield HANDOVERS_OVERLOAD.at(name, message)


class _Loads:
    """The bytes that a mean request sends over each capacity, in the mean over the handovers."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self.bytes_per_request: defaultdict[str, Fraction] = defaultdict(Fraction)
        self.bandwidths: dict[str, int] = {}
        """Of links and interconnects; NICs and trunks are the cluster's."""

    def add(self, handover: Handover) -> None:
        """Count what the requests of a handover send."""
        workload, weight = self._lookup.plan.workload, exact(handover.weight)
        prompt, decodes = workload.prompt_tokens.mean, workload.output_tokens.mean - 1
        for ends in steps_of_chain(handover.prefill):
            self._send(ends, weight * (1 if ends[1] == EXIT else prompt), None)
        for ends in steps_of_chain(handover.decode):
            self._send(ends, weight * decodes, None)
        for move in handover.kv_moves:
            self._send((move.source, move.target), weight, kv_bytes(self._lookup, move.layers))

    def _send(self, ends: tuple[str, str], count: Fraction, num_bytes: int | None) -> None:
        """Count messages of so many bytes; None stands for those of a token."""
        connection = self._lookup.connection(*ends)
        if connection is None:
            return
        each = connection.bytes_per_token if num_bytes is None else num_bytes
        for name in self._names(connection, ends):
            self.bytes_per_request[name] += count * each

    def _names(self, connection: Connection, ends: tuple[str, str]) -> tuple[str, ...]:
        names = connection.shared or (f"link:{'>'.join(ends)}",)
        self.bandwidths[names[0]] = connection.bandwidth_bytes_per_s
        return names
