"""The quickest that a request can be: the service times of the quickest route, without any wait."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise

from hexplan.check.exact import exact
from hexplan.check.figures.chains import Step, chains_taken, least_over_steps, steps_taken
from hexplan.check.lookup import Lookup
from hexplan.check.stage.least import least_each_s
from hexplan.check.stage.steps import StageSteps, Tables, steps_of
from hexplan.cluster import COORDINATOR
from hexplan.constants import MAX_BATCH
from hexplan.plan import ENTRY, EXIT, Hop, Phase, Stage


@dataclass(frozen=True, slots=True)
class Prompts:
    """The prompts whose time to the first token is bounded."""

    tokens: int
    """Tokens of a mean one, or fewer to be safe."""
    step_tokens: int | None
    """Tokens of a step; None if a prompt runs in one step, however long."""


@dataclass(frozen=True, slots=True)
class Quickest:
    """Seconds below which no mean time of a request can be."""

    ttft_s: Fraction
    tpot_s: Fraction


def quickest(lookup: Lookup, prompts: Prompts, *, is_scaled: bool) -> Quickest | None:
    """Return the least mean times of requests; None if the plan does not say enough of its stages.

    A prompt that is cut into steps may be in several stages at once, so of these each is counted
    with a step of one token, and the slowest with the whole prompt.

    Parameters
    ----------
    is_scaled
        Whether times are scaled to the stages' capacities, as the queueing model does
        (formulation 9).
    """
    timed: dict[str, StageSteps] = {}
    for stage in lookup.plan.stages:
        steps = steps_of(lookup, stage)
        if steps is None or not exact(stage.capacity_tokens_per_s):
            return None
        timed[stage.id] = _cautious(steps)
    search = _Search(lookup, timed, is_scaled)
    is_cut = prompts.step_tokens is not None and prompts.tokens > prompts.step_tokens
    first = 1 if is_cut else prompts.tokens
    ttft_s = search.least("prefill", lambda steps: steps.least_prompt_s(first), first)
    tpot_s = search.least("decode", lambda steps: steps.decode_s(1, 1), 1)
    if ttft_s is None or tpot_s is None:
        return None
    if is_cut:
        chains = chains_taken(lookup, "prefill")
        ttft_s += min(search.longest_s(hops, prompts) for hops in chains)
    return Quickest(ttft_s, tpot_s)


def _cautious(steps: StageSteps) -> StageSteps:
    """Return the steps by lowered curves, with the smaller factor for prompts and decodes.

    A request may share a larger step that was measured to be faster. A step that holds prompts and
    decodes shares the time that they save between them.
    """
    if steps.measured is not None:
        measured = Tables(steps.measured.prefill.lowered, steps.measured.decode.lowered)
        steps = replace(steps, measured=measured)
    if steps.correction is None:
        return steps
    least = min(steps.correction.prefill, steps.correction.decode)
    changed = steps.correction.model_copy(update={"prefill": least, "decode": least})
    return replace(steps, correction=changed)


@dataclass(frozen=True, slots=True)
class _Search:
    lookup: Lookup
    timed: dict[str, StageSteps]
    is_scaled: bool

    def least(
        self, phase: Phase, layer_s: Callable[[StageSteps], Fraction], tokens: int
    ) -> Fraction | None:
        """Return the least seconds from entry to exit over the steps of a phase."""

        def stage_s(stage: Stage, layers: int) -> Fraction:
            steps = self.timed[stage.id]
            return (layers * layer_s(steps) + steps.head_s(1)) * self._scale(stage)

        def edge_s(edge: Step) -> Fraction:
            return self._edge_s(edge.source, edge.target, 1 if edge.target == EXIT else tokens)

        return least_over_steps(self.lookup, steps_taken(self.lookup, phase), edge_s, stage_s)

    def longest_s(self, hops: Sequence[Hop], prompts: Prompts) -> Fraction:
        """Return by how much the slowest stage or edge takes longer for all than for one token."""
        most = prompts.step_tokens or prompts.tokens
        waits = [Fraction(0)]
        for hop in hops:
            steps, stage = self.timed[hop.stage], self.lookup.stages[hop.stage]
            layers = stage.layers[1] - hop.enter_layer
            more_s = _prompt_s(steps, prompts.tokens, most) - steps.least_prompt_s(1)
            waits.append(layers * more_s * self._scale(stage))
        for source, target in pairwise((ENTRY, *(hop.stage for hop in hops))):
            one_s, all_s = (self._edge_s(source, target, n) for n in (1, prompts.tokens))
            waits.append(all_s - one_s)
        return max(waits)

    def _scale(self, stage: Stage) -> Fraction:
        """Return the factor that brings a mean request to the stage's capacity, but at most 1.

        Capacities are those of stages that have nothing in host memory.
        """
        steps, workload = self.timed[stage.id], self.lookup.plan.workload
        steps = replace(steps, seen_share=Fraction(1))
        is_own = steps.measured is not None and steps.known is None
        if not self.is_scaled or is_own:
            return Fraction(1)
        prompt, output = workload.prompt_tokens.mean, workload.output_tokens.mean
        token_layers = stage.kv_tokens * steps.num_layers
        room = token_layers // (workload.mean_tokens * self.lookup.plan.model.layers)
        batch = min(MAX_BATCH, max(1, room))
        decode_s = steps.num_layers * steps.decode_s(batch, workload.mean_context_tokens)
        request_s = steps.num_layers * steps.prompt_s(prompt) + steps.head_s(1)
        request_s += output * (decode_s + steps.head_s(batch)) / batch
        capacity = exact(stage.capacity_tokens_per_s)
        return min(Fraction(1), workload.mean_tokens / (capacity * request_s))

    def _edge_s(self, source: str, target: str, tokens: int) -> Fraction:
        """Return the seconds that some tokens take over an edge."""
        hosts = self.lookup.host_of(source), self.lookup.host_of(target)
        connection = self.lookup.connection_of_hosts(*hosts)
        if connection is None:
            return Fraction(0)
        carried_s = Fraction(tokens * connection.bytes_per_token, connection.bandwidth_bytes_per_s)
        return self._latency_s(*hosts) + carried_s

    def _latency_s(self, source: str, target: str) -> Fraction:
        inner = self.lookup.hosts[source].interconnect if source == target else None
        way = inner or self.lookup.link(source, target)
        is_hop = COORDINATOR not in (source, target)
        overhead_s = exact(self.lookup.plan.cluster.limits.hop_overhead_s) if is_hop else 0
        return overhead_s + (exact(way.latency_s) if way else Fraction(0))


def _prompt_s(steps: StageSteps, tokens: int, most: int) -> Fraction:
    """Return the least seconds of one layer for a prompt in steps of at most so many tokens."""
    if tokens <= most or steps.measured is None:
        return steps.least_prompt_s(tokens)  # one step is no slower than several
    return tokens * least_each_s(steps.least_prompt_s, steps.measured.prefill, most)
