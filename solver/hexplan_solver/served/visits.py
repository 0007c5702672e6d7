"""Visits: stages and edges as a mean request meets them."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from hexplan.schedule.limits import least_prompt_tokens
from hexplan_solver.flow.network import OUTSIDE
from hexplan_solver.served.request import MeanRequest
from hexplan_solver.served.scheduler import clump_tokens
from hexplan_solver.served.shares import Entries, Shares, part_that_runs
from hexplan_solver.simulate import EdgeModel, PipelineModel, Policy, StageModel


@dataclass(frozen=True, slots=True)
class Visit:
    """How often requests visit a stage, and how much of it they run."""

    share: float
    """Share of the requests that visit it."""
    held_layers: float
    """Layers that a mean request runs in it."""
    is_last: bool
    """Whether it has the output head."""
    entries: Entries
    """Where requests enter it."""
    streams: float
    """Routes that meet in it."""


@dataclass(frozen=True, slots=True)
class Stop:
    """One stage as a mean request meets it."""

    share: float
    layers: float
    """Layers that a visit runs."""
    batch: int
    """Decodes in one step."""
    decode_s: float
    """Time of such a step."""
    chunk: float
    """Prompt tokens in a step without decodes, at most."""
    least_room: float
    """Prompt tokens for which a step has room, however many decodes it holds."""
    least: float
    """Prompt tokens in the step of an idle stage, in the mean."""
    context_tokens: float
    """Mean context of a decode."""
    reach_tokens: float
    """Mean number of tokens before a prompt's token: a long prompt's chunks reach far back."""
    full_s: float
    """What a visit takes of the stage's time, prompt and decodes, where every step is full; of
    stages side by side, as if their loads were equal."""
    entries: Entries
    """Where requests enter it."""
    streams: float
    """Routes that meet in it, which are not in step with each other."""
    model: StageModel

    def prompt_s(self, tokens: float) -> float:
        """Return the time of a step's prompt tokens."""
        whole = max(1, int(tokens))
        return self.layers * self.model.steps.layer_s(whole, whole * self.reach_tokens, 0, 0)

    def ride_s(self, tokens: float) -> float:
        """Return the time that prompt tokens add to a step of decodes."""
        whole, context = max(1, int(tokens)), int(self.batch * self.context_tokens)
        reach = whole * self.reach_tokens
        both_s = self.model.steps.layer_s(whole, reach, self.batch, context)
        return max(0.0, self.layers * both_s - self.decode_s)


@dataclass(frozen=True, slots=True)
class Way:
    """One edge as a mean request meets it."""

    share: float
    latency_s: float
    token_s: float
    """Time that a token takes on it."""
    prompt_tokens: float
    """Tokens of a prompt that it carries."""


@dataclass(frozen=True, slots=True)
class Crossing:
    """A link, NIC or trunk, which is busy with one message after the other."""

    share: float
    prompt_s: float
    """Time that a prompt takes on it."""
    token_s: float
    """Time that a token takes."""


def stop_of(
    stage: StageModel,
    visit: Visit,
    in_flight: float,
    request: MeanRequest,
    policy: Policy,
) -> Stop:
    """Return how a mean request meets a stage.

    Parameters
    ----------
    in_flight
        Requests whose decodes pass through it.
    """
    share, held = visit.share, visit.held_layers
    assert policy.chunk_tokens is not None, "prompts come in chunks"
    batch = round(clump_tokens(policy, in_flight))
    context = request.context_tokens
    layers = held / share
    decode_s = layers * stage.steps.layer_s(0, 0, batch, int(batch * context))
    chunk = policy.chunk_tokens
    least_room = least_prompt_tokens(chunk)
    sizes = request.prompt_sizes
    least = sum(sizes) / sum(math.ceil(size / chunk) for size in sizes)
    full_s = _full_s(stage, visit, request, policy)
    reach = request.reach_tokens
    return Stop(
        share,
        layers,
        batch,
        decode_s,
        chunk,
        least_room,
        least,
        context,
        reach,
        full_s,
        visit.entries,
        visit.streams,
        stage,
    )


def _full_s(stage: StageModel, visit: Visit, request: MeanRequest, policy: Policy) -> float:
    """Return what a visit takes of a stage's time in full steps, which hold the mean mix."""
    assert policy.chunk_tokens is not None, "prompts come in chunks"
    both = request.prompt_tokens + request.decode_tokens
    steps = max(request.decode_tokens / policy.max_decode_tokens, both / policy.chunk_tokens)
    prompt, decodes = int(request.prompt_tokens / steps), round(request.decode_tokens / steps)
    context = int(decodes * request.context_tokens)
    layer_s = stage.steps.layer_s(prompt, prompt * request.reach_tokens, decodes, context)
    head_s = stage.steps.head_s(max(1, decodes)) if visit.is_last else 0.0
    return steps * (visit.held_layers / visit.share * layer_s + head_s)


@dataclass(frozen=True, slots=True)
class Around:
    """What stops meet around them."""

    in_flight: float
    """Requests in flight."""
    round_s: float
    """The round trip of a decode where nothing waits."""
    links_s: Sequence[float]
    """Of each stop: the least seconds between two requests on the links to it, or from it."""


def balanced(stops: Sequence[Stop], request: MeanRequest, around: Around) -> list[Stop]:
    """Give stages the loads that they have where a full one turns requests away.

    A stage without KV room for all requests in flight turns some away while they wait for it. Those
    go to the stages beside it, so all that run a layer are full before it passes no more. A stage
    that requests enter at a later layer is no help with the layers before, and none passes more
    than the requests that it has room for, or than its links carry.
    """
    cuts = sorted({layer for stop in stops for layer in stop.model.layers})[:-1]
    runs = {first: [(stop, _part(stop, first)) for stop in stops] for first in cuts}
    visit_s = {
        id(stop): max(_visit_s(stop, request, around.round_s), links_s)
        for stop, links_s in zip(stops, around.links_s, strict=True)
    }
    seconds = {
        first: 1 / sum(part / visit_s[id(stop)] for stop, part in beside)
        for first, beside in runs.items()
        if any(part for _, part in beside)
    }
    """What a request takes of all stages that run the layers from a cut to the next."""
    found = []
    for stop in stops:
        if stop.model.kv_tokens < around.in_flight * request.reserved_tokens:
            slowest_s = max(s for cut, s in seconds.items() if _part(stop, cut))
            stop = replace(stop, full_s=slowest_s / stop.share)
        found.append(stop)
    return found


def _visit_s(stop: Stop, request: MeanRequest, round_s: float) -> float:
    """Return the least seconds between two requests of a stage: in full steps, and by its room."""
    first, end = stop.model.layers
    room = stop.model.kv_tokens * (end - first) / stop.layers / request.reserved_tokens
    return max(stop.full_s, request.decode_tokens * round_s / room)


def _part(stop: Stop, layer: int) -> float:
    """Return the part of a stage's visits that runs a layer; 0 if the stage does not hold it."""
    first, end = stop.model.layers
    return part_that_runs(stop.entries, layer) if first <= layer < end else 0.0


def way_of(pipeline: PipelineModel, edge: EdgeModel, share: float, request: MeanRequest) -> Way:
    """Return how a mean request meets an edge, at the speed of the narrowest part of the way."""
    shared = [pipeline.shared_bytes_per_s[i] for i in edge.shared]
    token_s = edge.token_bytes / min([edge.bytes_per_s, *shared])
    return Way(share, edge.latency_s, token_s, _prompt_tokens(edge, request))


def _prompt_tokens(edge: EdgeModel, request: MeanRequest) -> float:
    """Return the tokens of a prompt that an edge carries: only one leaves the pipeline."""
    return 1.0 if edge.target == OUTSIDE else request.prompt_tokens


def crossings_of(pipeline: PipelineModel, shares: Shares, request: MeanRequest) -> list[Crossing]:
    """Return every link that is used, and every NIC and trunk that several edges share.

    A NIC or trunk of one edge alone is part of that edge's link, which is as fast as the slowest.
    """
    uses = Counter(index for edge in pipeline.edges for index in edge.shared)
    found: list[Crossing] = []
    through: dict[int, list[Crossing]] = defaultdict(list)
    for edge, share in zip(pipeline.edges, shares.edges, strict=True):
        tokens = _prompt_tokens(edge, request)
        own = [pipeline.shared_bytes_per_s[index] for index in edge.shared if uses[index] == 1]
        token_s = edge.token_bytes / min([edge.bytes_per_s, *own])
        found.append(Crossing(share, tokens * token_s, token_s))
        for index in edge.shared:
            token_s = edge.token_bytes / pipeline.shared_bytes_per_s[index]
            through[index].append(Crossing(share, tokens * token_s, token_s))
    found += [_together(shared) for _, shared in sorted(through.items()) if len(shared) > 1]
    return [crossing for crossing in found if crossing.share > 0]


def _together(uses: list[Crossing]) -> Crossing:
    """Return what several edges make of the NIC or trunk that they share."""
    share = sum(use.share for use in uses)
    if share == 0:
        return Crossing(0.0, 0.0, 0.0)
    prompt_s = sum(use.share * use.prompt_s for use in uses) / share
    return Crossing(share, prompt_s, sum(use.share * use.token_s for use in uses) / share)
