"""The rate that no schedule exceeds on a placement, by the prices of the cut (served_rate.md)."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import accumulate
from math import ceil

from hexplan.check.exact import exact
from hexplan.check.figures.quickest import Prompts, quickest
from hexplan.check.lookup import Lookup
from hexplan.check.stage.least import Need, least_layer_s, least_seconds
from hexplan.check.stage.memory import workspace_tokens
from hexplan.check.stage.sizes import length
from hexplan.check.stage.steps import steps_of
from hexplan.cluster import COORDINATOR, Scheduling
from hexplan.constants import MAX_BATCH, TOKEN_ID_BYTES
from hexplan.plan import EXIT, CutTerm, Phase, Stage

LARGE_STEP_TOKENS = 4096
"""Tokens of a step without a limit: larger ones save less than a thousandth of the weights' time.

Chosen by hand.
"""


def most_requests_per_s(lookup: Lookup, policy: Scheduling) -> Fraction | None:
    """Return the most mean requests per second that the placement can serve for long.

    That is the smaller of what its capacities allow and what its KV cache allows; None if the plan
    tells neither.
    """
    # Where prompts run whole, published schedulers reserve a fixed part of a measured room.
    by_room = by_kv_room(lookup) if policy == "chunked" else None
    by_time = by_phases if lookup.plan.handovers else by_capacities
    bounds = (by_time(lookup, policy), by_room)
    return min((bound for bound in bounds if bound is not None), default=None)


def by_kv_room(lookup: Lookup) -> Fraction | None:
    """Return the requests that the KV cache holds, over the least time that each stays.

    Every request keeps the KV of each layer in one stage that holds it, and that decodes. Long
    requests stay longer, so that those in the cache are no shorter than the mean.
    """
    plan = lookup.plan
    rooms: dict[int, int] = {}  # where ranges begin and end, the room changes
    for stage in plan.stages if not plan.handovers else _serving(lookup, "decode"):
        for layer, sign in zip(stage.layers, (1, -1), strict=True):
            rooms[layer] = rooms.get(layer, 0) + sign * stage.room_tokens
    *inside, _ = accumulate(rooms[layer] for layer in sorted(rooms))
    # The step of a prompt's first token is counted alone, as prompts may be of any length.
    least = quickest(lookup, Prompts(1, None), is_scaled=False)
    if least is None or not inside:
        return None
    stay_s = least.ttft_s + (plan.workload.output_tokens.mean - 1) * least.tpot_s
    return Fraction(min(inside), plan.workload.mean_tokens) / stay_s if stay_s else None


def by_phases(lookup: Lookup, policy: Scheduling) -> Fraction | None:
    """Return what the stages of each phase allow, whatever the routes.

    In each phase a request takes, layer by layer, at least the least seconds of one of the stages,
    and each stage has a second per second. Stages that serve both count for each phase whole.
    """
    need = _need(lookup, policy)
    needs: dict[Phase, Need] = {
        "prefill": replace(need, decodes=0, output_tokens=1),
        "decode": replace(need, prompt_tokens=0, held_tokens=need.prompt_tokens),
    }
    most: list[Fraction] = []
    for phase, asked in needs.items():
        layers_per_s = Fraction(0)
        for stage in _serving(lookup, phase):
            steps = steps_of(lookup, stage)
            if steps is None:
                return None
            layer_s = least_layer_s(steps, _within_room(lookup, stage, asked, 1))
            if not layer_s:
                return None
            layers_per_s += 1 / layer_s
        most.append(layers_per_s / lookup.plan.model.layers)
    return min(most)


def _serving(lookup: Lookup, phase: Phase) -> list[Stage]:
    return [stage for stage in lookup.plan.stages if stage.phase in ("both", phase)]


def by_capacities(lookup: Lookup, policy: Scheduling) -> Fraction | None:
    """Return what the capacities of the cut allow.

    Every route pays the cut's prices for what it uses, at least 1 for each token. A schedule may
    use less of a capacity than the flow counts: steps may hold prompts and decodes together, a
    request that enters in the middle of a stage runs fewer layers, and the last token of an output
    is not run again. So each capacity is counted by the least that a request uses of it.

    None means that the plan does not say enough, or that the cut proves nothing.
    """
    need, total = _need(lookup, policy), Fraction(0)
    for term in lookup.plan.certificate.cut:
        value = _value(lookup, term, need)
        if value is None:
            return None
        total += value
    paid = 1 - _paid_at_exit(lookup)
    return total / paid / lookup.plan.workload.mean_tokens if total and paid > 0 else None


def _need(lookup: Lookup, policy: Scheduling) -> Need:
    """Return what a mean request needs; where prompts run whole, decodes give every token.

    Steps are as large as the plan's limits, or as the cluster's.
    """
    plan, is_whole = lookup.plan, policy == "whole"
    prompt, output = plan.workload.prompt_tokens.mean, plan.workload.output_tokens.mean
    limits = plan.step_limits
    tokens, decodes = workspace_tokens(plan), MAX_BATCH
    if limits is not None:
        tokens, decodes = limits.tokens, min(limits.decodes, MAX_BATCH)
    if is_whole:
        tokens = decodes = LARGE_STEP_TOKENS
    return Need(prompt, output - (not is_whole), output, tokens, decodes)


def _value(lookup: Lookup, term: CutTerm, need: Need) -> Fraction | None:
    """Return price times capacity, in tokens/s as the flow counts them."""
    mean_tokens = lookup.plan.workload.mean_tokens
    price, capacity = exact(term.price), exact(term.capacity)
    family, _, name = term.constraint.partition(":")
    if family == "stage":
        stage = lookup.stages.get(name)
        steps = steps_of(lookup, stage) if stage else None
        if stage is None or steps is None:
            return None
        num_layers = _least_layers(lookup, stage)
        seconds = least_seconds(steps, _within_room(lookup, stage, need, num_layers), num_layers)
        return price * mean_tokens / seconds if seconds else None
    used = need.output_tokens if _is_to_coordinator(family, name) else need.tokens
    return price * capacity * mean_tokens / used if used else None


def _within_room(lookup: Lookup, stage: Stage, need: Need, num_layers: int) -> Need:
    """Return the need with no more decodes in a step than the KV cache holds mean requests.

    A request keeps its KV for the layers that it runs. Long ones stay longer and weigh more than
    mean ones, and the scheduler leaves a fifth of the cache free, so this is on the safe side.
    """
    room = Fraction(stage.room_tokens * length(stage.layers), num_layers)
    most = ceil(room / lookup.plan.workload.mean_tokens)
    return replace(need, step_decodes=max(1, min(need.step_decodes, most)))


def _least_layers(lookup: Lookup, stage: Stage) -> int:
    """Return the fewest layers that a request runs in a stage, over the edges into it."""
    enters = [edge.enter_layer for edge in lookup.plan.edges if edge.target == stage.id]
    runs = [stage.layers[1] - layer for layer in enters]
    return min((run for run in runs if run > 0), default=length(stage.layers))


def _is_to_coordinator(family: str, name: str) -> bool:
    """Say whether only output tokens use a capacity."""
    return name.partition(">")[2] in (EXIT, COORDINATOR) or (family, name) == (
        "nic-in",
        COORDINATOR,
    )


def _paid_at_exit(lookup: Lookup) -> Fraction:
    """Return the most that a token pays for what it shares with activations on its way out.

    A prompt sends one token to the coordinator, where the flow counts all of its tokens.
    """
    prices = {"nic-out": Fraction(0), "trunk": Fraction(0)}
    for term in lookup.plan.certificate.cut:
        family, _, name = term.constraint.partition(":")
        if family in prices and name != COORDINATOR:
            prices[family] = max(prices[family], exact(term.price))
    return sum(prices.values(), Fraction(0)) * TOKEN_ID_BYTES
