"""The rehearsal: messages, and steps of stages, in the order of time.

It keeps to the rules of the simulator, with three differences. Decodes are counted, and not told
apart, so requests end at a steady rate. Each that ends is replaced at once. And lengths come in
turn from their quantiles, so nothing is drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush

from hexplan.schedule.micro_batches import hold_s
from hexplan.step_limits import StepLimits
from hexplan_solver.flow.network import OUTSIDE
from hexplan_solver.served.rehearsal.clumps import Clump, Part, Prompt, by_edge
from hexplan_solver.served.rehearsal.routes import Routes
from hexplan_solver.served.rehearsal.stage import RehearsedStage, Step
from hexplan_solver.served.request import MeanRequest
from hexplan_solver.simulate.fabric import Fabric
from hexplan_solver.simulate.pipeline_model import PipelineModel, Topology
from hexplan_solver.simulate.policy import Policy
from hexplan_solver.simulate.stage_state import away_s

GOLDEN = 0.6180339887498949
"""Multiples of it, modulo 1, are spread more evenly than any draws."""
Event = tuple[float, int, Callable[..., None], tuple[object, ...]]


@dataclass(frozen=True, slots=True)
class Feed:
    """How requests come: as from the simulator's feeder, `Offline`."""

    most: float
    """One more comes as long as no more than so many are in flight..."""
    gap_s: float
    """...so long after a request or its prompt has ended."""
    prompts: tuple[int, ...]
    """Lengths of prompts at quantiles of equal probability."""


class Rehearsal:
    """A rehearsal under way."""

    def __init__(
        self,
        pipeline: PipelineModel,
        policy: Policy,
        request: MeanRequest,
        feed: Feed,
    ) -> None:
        assert policy.chunk_tokens is not None, "prompts come in chunks"
        limits = StepLimits(tokens=policy.chunk_tokens, decodes=policy.max_decode_tokens)
        topology = Topology.of(pipeline)
        self._targets = topology.targets
        self._sources = [edge.source for edge in pipeline.edges]
        self.stages = [
            RehearsedStage(pipeline, position, entries, limits, request.context_tokens)
            for position, entries in enumerate(topology.entries)
        ]
        self._away_s = [away_s(pipeline, position) for position in range(len(self.stages))]
        self._decode_tokens, self._feeding = request.decode_tokens, feed
        self._fabric = Fabric(pipeline)
        self.routes = Routes(pipeline, policy, max(1, round(request.reserved_tokens)))
        self._next_edge: list[dict[int, int]] = [{} for _ in self.stages]
        for number, way in enumerate(self.routes.ways):
            for stage, edge in way.decode.next_edge.items():
                self._next_edge[stage][number] = edge
        self._events: list[Event] = []
        self._order = 0
        self._ended = [0.0] * len(self.routes.ways)
        """Per route: the part of a request that has ended beyond whole ones."""
        self._cut = [0] * len(self.routes.ways)
        """Per route: requests that are yet to end before their time."""
        self._quantile = 0.5
        self.now_s = 0.0
        self.decoded = self.steps = 0
        self.prompts = 0
        """Prompts under way."""
        self.first_tokens = 0
        """Prompts that are through."""
        self.ttft_s = 0.0
        """What those took, together."""
        self.routes.fill(int(feed.most) + 1)
        self.in_flight = sum(self.routes.requests)
        """Requests that are admitted."""
        self._is_one_waiting = False
        """Whether a request has come that found no room."""
        for route in range(len(self.routes.ways)):
            self._send_batches(route)

    def cut_short(self, part: float) -> None:
        """Let a part of the decodes of each route be the last of their requests."""
        self._cut = [round(batches.decodes * part) for batches in self.routes.batches]

    def run(self, decoded: float, most_steps: int) -> None:
        """Go on until so many tokens have been decoded since the start, or so many steps made."""
        events = self._events
        while events and self.decoded < decoded and self.steps < most_steps:
            self.now_s, _, happen, arguments = heappop(events)
            happen(*arguments)

    def _at(self, time_s: float, happen: Callable[..., None], *arguments: object) -> None:
        self._order += 1
        heappush(self._events, (time_s, self._order, happen, arguments))

    # messages

    def _send_batches(self, route: int) -> None:
        entry = self.routes.ways[route].decode.entry
        for batch, size in self.routes.batches[route].take():
            self._send_clumps(entry, [Clump(route, batch, size)], size)

    def _send_clumps(self, edge: int, clumps: list[Clump], decodes: int) -> None:
        arrival_s = self._fabric.send(edge, decodes, self.now_s)
        self._at(arrival_s, self._receive_clumps, edge, clumps, decodes)

    def _send_part(self, edge: int, part: Part) -> None:
        # From a prompt, only the token that follows it leaves the pipeline.
        tokens = 1 if self._targets[edge][0] == OUTSIDE else part.tokens
        self._at(self._fabric.send(edge, tokens, self.now_s), self._receive_part, edge, part)

    def _receive_clumps(self, edge: int, clumps: list[Clump], decodes: int) -> None:
        target, segment = self._targets[edge]
        if target == OUTSIDE:
            self._collect(edge, clumps, decodes)
            return
        stage = self.stages[target]
        queue = stage.queues[segment]
        queue.clumps += clumps
        queue.decodes += decodes
        if stage.is_holding or (stage.running is None and not stage.due):
            self._wake(target)

    def _receive_part(self, edge: int, part: Part) -> None:
        target, segment = self._targets[edge]
        if target == OUTSIDE:
            self._collect_prompt(part.prompt)
            return
        stage = self.stages[target]
        stage.queues[segment].parts.append(part)
        if stage.running is None and not stage.due:
            self._wake(target)

    # requests

    def _collect(self, edge: int, clumps: list[Clump], decodes: int) -> None:
        self.decoded += decodes
        changed: dict[int, None] = {}
        for clump in clumps:
            route = clump.route
            batches = self.routes.batches[route]
            batches.come_back(clump.batch, clump.decodes)
            ends = self._ends(clump)
            batches.waiting += clump.decodes - ends
            changed[route] = None
            decodes -= ends
            for _ in range(ends):
                self._end(route)
        for route in changed:
            self._send_batches(route)
        source = self._sources[edge]
        if not decodes and self.stages[source].is_holding:
            self._wake(source)

    def _ends(self, clump: Clump) -> int:
        """Return how many requests have had their last token."""
        ended = self._ended[clump.route] + clump.decodes / self._decode_tokens
        whole = min(int(ended), clump.decodes)
        self._ended[clump.route] = ended - whole
        early = min(self._cut[clump.route], clump.decodes - whole)
        self._cut[clump.route] -= early
        return whole + early

    def _end(self, route: int) -> None:
        self.routes.end(route)
        self.in_flight -= 1
        if self._is_one_waiting:
            self._arrive()
        self._feed()

    def _feed(self) -> None:
        """Let one more request come, unless enough are in flight or one waits."""
        if self.in_flight <= self._feeding.most and not self._is_one_waiting:
            self._at(self.now_s + self._feeding.gap_s, self._arrive)

    def _arrive(self) -> None:
        route = self.routes.admit()
        self._is_one_waiting = route is None
        if route is None:
            return
        self.in_flight += 1
        self.prompts += 1
        self._quantile = (self._quantile + GOLDEN) % 1.0
        lengths = self._feeding.prompts
        prompt = Prompt(route, lengths[int(self._quantile * len(lengths))], self.now_s)
        self._send_part(self.routes.ways[route].prefill.entry, Part(prompt, 0, prompt.tokens))

    def _collect_prompt(self, prompt: Prompt) -> None:
        self.prompts -= 1
        self.first_tokens += 1
        self.ttft_s += self.now_s - prompt.admitted_s
        self.routes.batches[prompt.route].waiting += 1
        self._send_batches(prompt.route)
        self._feed()

    # stages

    def _wake(self, position: int, held_s: float = 0.0) -> None:
        """Begin a step, after everything else that happens at the same moment."""
        stage = self.stages[position]
        stage.is_holding = held_s > 0
        if not held_s and (not self._events or self._events[0][0] > self.now_s):
            self._begin_step(position)
            return
        self._at(self.now_s + held_s, self._begin_if_due, position, self._order + 1)
        stage.due = self._order

    def _begin_if_due(self, position: int, event: int) -> None:
        if self.stages[position].due == event:
            self._begin_step(position)

    def _begin_step(self, position: int) -> None:
        stage = self.stages[position]
        stage.due, stage.is_holding = 0, False
        step = stage.running = stage.next_step()
        if step is not None:
            self.steps += 1
            self._at(self.now_s + step.seconds, self._end_step, position, step)

    def _end_step(self, position: int, step: Step) -> None:
        stage = self.stages[position]
        stage.running = None
        if step.segment < stage.last_segment:
            queue = stage.queues[step.segment + 1]
            queue.clumps += step.clumps
            queue.decodes += step.decodes
            queue.parts.extend(step.parts)
        else:
            self._send_on(position, step)
        self._wake(position, self._held_s(position, step))

    def _send_on(self, position: int, step: Step) -> None:
        edges = self._next_edge[position]
        leaving = by_edge(step.clumps, edges)
        for edge, clumps in leaving.items():
            is_all = len(leaving) == 1
            decodes = step.decodes if is_all else sum([clump.decodes for clump in clumps])
            self._send_clumps(edge, clumps, decodes)
        for part in step.parts:
            edge = edges[part.prompt.route]
            if part.is_end or self._targets[edge][0] != OUTSIDE:
                self._send_part(edge, part)

    def _held_s(self, position: int, step: Step) -> float:
        away = self._away_s[position]
        if away is None or not (step.clumps or any([part.is_end for part in step.parts])):
            return 0.0
        return hold_s(step.seconds, away)
