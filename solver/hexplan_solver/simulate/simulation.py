"""A simulation: arrivals of requests and messages, and ends of steps, in the order of time."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from heapq import heappop, heappush
from itertools import count

from hexplan_solver.flow.network import OUTSIDE
from hexplan_solver.simulate.admission import Admission
from hexplan_solver.simulate.entry import make_entry
from hexplan_solver.simulate.fabric import Fabric
from hexplan_solver.simulate.pipeline_model import PipelineModel, Topology
from hexplan_solver.simulate.policy import Policy
from hexplan_solver.simulate.recorder import Recorder
from hexplan_solver.simulate.request_state import RequestState
from hexplan_solver.simulate.stage_state import RunningStep, StageState
from hexplan_solver.simulate.token_group import TokenGroup, by_edge
from hexplan_solver.simulate.traffic import Arrival, Closed, Offline, Traffic
from hexplan_solver.simulate.window import Outage, Window


class Simulation:
    """One simulation under way."""

    def __init__(
        self, pipeline: PipelineModel, traffic: Traffic, policy: Policy, window: Window
    ) -> None:
        self.now_s = 0.0
        self.recorder = Recorder()
        topology = Topology.of(pipeline)
        self._targets, self._leaving = topology.targets, topology.leaving
        self._sources = [edge.source for edge in pipeline.edges]
        self._is_split = pipeline.is_split
        self.stage_states = [
            StageState(pipeline, stage, entries, policy)
            for stage, entries in enumerate(topology.entries)
        ]
        self._policy, self._window, self._traffic = policy, window, traffic
        self._fabric, self._entry = Fabric(pipeline), make_entry(pipeline, policy)
        self.admission = Admission(
            pipeline, policy, self.recorder, lambda stage: not self.stage_states[stage].is_down
        )
        self._rng = random.Random(window.seed)  # noqa: S311
        self._arrivals = iter(traffic.arrivals(self._rng))
        self._events: list[tuple[float, int, Callable[..., None], tuple[object, ...]]] = []
        self._order, self._numbers = count(), count()
        self._has_lost = False

    def run(self, outages: Iterable[Outage] = ()) -> Recorder:
        """Simulate to the end of the window, and return what was recorded."""
        for outage in outages:
            self._at(outage.from_s, self._fail, outage.stage)
            if outage.until_s != float("inf"):
                self._at(outage.until_s, self._repair, outage.stage)
        self._expect_arrival()
        if self._window.warmup_s:
            self._at(self._window.warmup_s, self._snapshot)
        self._at(0.0, self._snapshot_again, self._window.snapshot_every_s(self._traffic))
        end_s = self._window.duration_s
        events = self._events
        while events and (end_s is None or events[0][0] < end_s):
            self.now_s, _, happen, arguments = heappop(events)
            happen(*arguments)
        self.now_s = self.now_s if end_s is None else end_s
        self._snapshot()
        return self.recorder

    def _at(self, time_s: float, happen: Callable[..., None], *arguments: object) -> None:
        heappush(self._events, (time_s, next(self._order), happen, arguments))

    # requests

    def _expect_arrival(self) -> None:
        arrival = next(self._arrivals, None)
        if arrival is not None:
            self._at(arrival[0], self._arrive, arrival, True)

    def _arrive(self, arrival: Arrival, is_listed: bool) -> None:
        if is_listed:
            self._expect_arrival()
        request = RequestState(next(self._numbers), *arrival)
        if not self.admission.enqueue(request):
            return
        self._admit()
        if isinstance(self._traffic, Offline) and self._traffic.turns_away:
            self.admission.turn_away(request)

    def _admit(self) -> None:
        for request in self.admission.admit(self.now_s):
            self._begin(request)

    def _begin(self, request: RequestState) -> None:
        assert request.route is not None
        group = TokenGroup([request], request.prompt_tokens, 0, is_prompt=True)
        self._send(request.route.prefill.entry, group)

    def _launch_another(self) -> None:
        """Schedule one more request, for traffic that depends on what has ended."""
        traffic = self._traffic
        assert isinstance(traffic, Offline | Closed)
        lengths = traffic.lengths(self._rng)
        time_s = self.now_s + traffic.gap_s
        self._at(time_s, self._arrive, (time_s, *lengths), False)

    # messages

    def _send(self, edge: int, group: TokenGroup) -> None:
        if group.tokens > 1 and self._policy.sends_singly and not group.is_prompt:
            for request in group.requests:
                self._send(edge, TokenGroup.of_decodes([request]))
            return
        group.edge, group.sent_s = edge, self.now_s
        target = self._targets[edge][0]
        # From a prompt, only the token that follows it leaves the pipeline.
        tokens = 1 if target == OUTSIDE and group.is_prompt else group.tokens
        arrival_s = self._fabric.send(edge, tokens, self.now_s)
        heappush(self._events, (arrival_s, next(self._order), self._receive, (edge, group)))

    def _receive(self, edge: int, group: TokenGroup) -> None:
        if self._has_lost:
            kept = group.without_lost()
            if kept is None:
                return
            group = kept
        target, segment = self._targets[edge]
        if target == OUTSIDE:
            self._collect(group)
            return
        state = self.stage_states[target]
        state.queues[segment].append(group)
        if not group.is_prompt:
            self._stop_holding(target)
        if state.step is None and not state.is_waking:
            self._wake(target, self.now_s + self._policy.delay_s)

    def _wake(self, stage: int, time_s: float) -> None:
        """Start a step at that time, after everything else that happens at the same moment."""
        state = self.stage_states[stage]
        state.is_waking, state.is_holding = True, False
        state.wakes += 1
        heappush(self._events, (time_s, next(self._order), self._start, (stage, state.wakes)))

    def _start(self, stage: int, wake: int) -> None:
        state = self.stage_states[stage]
        if wake != state.wakes:
            return
        state.is_waking = state.is_holding = False
        step = None if state.is_down or state.step is not None else state.next_step()
        if step is not None:
            state.step, state.begun_s = step, self.now_s
            self._at(self.now_s + step.seconds, self._finish, stage, step)

    def _finish(self, stage: int, step: RunningStep) -> None:
        state = self.stage_states[stage]
        if state.step is not step:
            return  # it failed meanwhile
        state.end_step(self.now_s)
        if step.segment < state.last_segment:
            state.queues[step.segment + 1].extend(step.groups)
        else:
            self.admission.record_responses(step.groups, self.now_s)
            self._send_on(stage, step.groups)
        if not state.is_waking:
            held_s = state.hold_s(step)
            self._wake(stage, self.now_s + held_s)
            state.is_holding = held_s > 0

    def _send_on(self, stage: int, groups: list[TokenGroup]) -> None:
        if self._is_split:
            self._send_kv(stage, groups)
        for edge, merged in by_edge(groups, stage, self._leaving[stage]).items():
            self._send_all(edge, merged)

    def _send_all(self, edge: int, groups: list[TokenGroup]) -> None:
        is_exit = self._targets[edge][0] == OUTSIDE
        for group in groups:
            if not is_exit or not group.is_prompt or group.is_prompt_end:
                self._send(edge, group)

    def _send_kv(self, stage: int, groups: list[TokenGroup]) -> None:
        """Send the KV of what was prefilled to the stages that decode those layers."""
        for group in groups:
            request = group.requests[0]
            assert request.route is not None
            sends = request.route.kv_sends.get(stage, ()) if group.is_prompt else ()
            for send in sends:
                layer_tokens = group.tokens * send.layers
                arrival_s = self._fabric.send(send.edge, layer_tokens, self.now_s)
                self._at(arrival_s, self._receive_kv, request, layer_tokens)

    def _receive_kv(self, request: RequestState, layer_tokens: int) -> None:
        if self.admission.move_kv(request, layer_tokens):
            if request.is_due:
                self._decode([request])
            self._admit()

    # tokens

    def _collect(self, group: TokenGroup) -> None:
        if group.is_prompt:
            if not self._collect_prompt(group.requests[0]):
                self._stop_holding(self._sources[group.edge])
            return
        self.recorder.tokens_of(group, self.now_s)
        self._entry.come_back(group.requests)
        going = self._going(group.requests)
        self._decode(going)
        if not going:
            self._stop_holding(self._sources[group.edge])

    def _stop_holding(self, stage: int) -> None:
        """Let a stage go on at once where none of the tokens that it waits for will return."""
        if self.stage_states[stage].is_holding:
            self._wake(stage, self.now_s)

    def _collect_prompt(self, request: RequestState) -> bool:
        """Take in the end of a prompt, and say whether its request goes on."""
        going = [request]
        if self._policy.prompt_gives_token:
            self.recorder.first_token(request, self.now_s)
            going = self._going(going)
        if request.unmoved:
            request.is_due = bool(going)
        else:
            self._decode(going)
        if isinstance(self._traffic, Offline):
            self._feed()
        return bool(going)

    def _going(self, requests: list[RequestState]) -> list[RequestState]:
        """Count a token of each request, and return those that have another one to decode."""
        going: list[RequestState] = []
        for request in requests:
            request.emitted += 1
            if request.emitted >= request.output_tokens:
                self._end(request)
            elif self.admission.kv.holds(request):
                going.append(request)
            else:
                self._evict([request])
        return going

    def _decode(self, requests: list[RequestState]) -> None:
        """Send the next tokens of requests, together with those that waited for them."""
        self._entry.wait(requests)
        self._send_waiting()

    def _send_waiting(self) -> None:
        for edge, requests in self._entry.take():
            self._send(edge, TokenGroup.of_decodes(requests))

    def _end(self, request: RequestState) -> None:
        self.admission.end(request)
        if isinstance(self._traffic, Offline):
            self._feed()
        elif isinstance(self._traffic, Closed):
            self._launch_another()
        self._admit()

    def _feed(self) -> None:
        traffic = self._traffic
        assert isinstance(traffic, Offline)
        has_room = self.admission.kv.fullest_layer() <= traffic.high_water
        if has_room and (traffic.turns_away or not self.admission.waiting):
            self._launch_another()

    # failures

    def _fail(self, stage: int) -> None:
        state = self.stage_states[stage]
        state.is_down = True
        state.end_step(self.now_s)
        self._evict([r for r in self.admission.running.values() if r.is_on(stage)])

    def _repair(self, stage: int) -> None:
        self.stage_states[stage].is_down = False
        self._admit()
        self._wake(stage, self.now_s)

    def _evict(self, requests: list[RequestState]) -> None:
        """Let requests start over, and drop what of them waits at stages."""
        self._entry.drop(requests)
        self.admission.evict(requests)
        self._has_lost = self._has_lost or bool(requests)
        for state in self.stage_states if requests else ():
            state.drop_lost()
        self._send_waiting()
        self._admit()

    def _snapshot_again(self, every_s: float) -> None:
        self._snapshot()
        if self._events:
            self._at(self.now_s + every_s, self._snapshot_again, every_s)

    def _snapshot(self) -> None:
        self.admission.take_snapshot(self.now_s, self.stage_states)
