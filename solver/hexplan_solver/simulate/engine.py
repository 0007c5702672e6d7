"""The engine: events in the order of time.

An event is a request's arrival, a message's arrival, or the end of a stage's step. Work is done
per message and per step, not per token, save where a token leaves the pipeline.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from heapq import heappop, heappush
from itertools import count

from hexplan_solver.flow.network import OUTSIDE
from hexplan_solver.simulate.fabric import Fabric
from hexplan_solver.simulate.intake import Intake
from hexplan_solver.simulate.layout import Layout
from hexplan_solver.simulate.parcel import Parcel, Request, by_edge
from hexplan_solver.simulate.pipeline import Pipeline
from hexplan_solver.simulate.policy import Policy
from hexplan_solver.simulate.recorder import Recorder, Snapshot
from hexplan_solver.simulate.station import Station, Step
from hexplan_solver.simulate.traffic import Arrival, Closed, Offline, Traffic
from hexplan_solver.simulate.window import Outage, Window


class Engine:
    """One simulation under way."""

    def __init__(
        self, pipeline: Pipeline, traffic: Traffic, policy: Policy, window: Window
    ) -> None:
        self.now_s = 0.0
        self.recorder = Recorder()
        layout = Layout.of(pipeline)
        self._targets, self._leaving = layout.targets, layout.leaving
        self._is_split = pipeline.is_split
        self.stations = [
            Station(pipeline, stage, entries, policy)
            for stage, entries in enumerate(layout.entries)
        ]
        self._policy, self._window, self._traffic = policy, window, traffic
        self._fabric = Fabric(pipeline)
        self.intake = Intake(
            pipeline, policy, self.recorder, lambda stage: not self.stations[stage].is_down
        )
        self._rng = random.Random(window.seed)  # noqa: S311
        self._arrivals = iter(traffic.arrivals(self._rng))
        self._events: list[tuple[float, int, Callable[..., None], tuple[object, ...]]] = []
        self._order = count()
        self._numbers = count()
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
        request = Request(next(self._numbers), *arrival)
        if not self.intake.take(request):
            return
        self._admit()
        waiting = self.intake.waiting
        if isinstance(self._traffic, Offline) and waiting and waiting[-1] is request:
            self.intake.turn_away_last()

    def _admit(self) -> None:
        for request in self.intake.admit(self.now_s):
            assert request.course is not None
            parcel = Parcel([request], request.prompt_tokens, 0, is_prompt=True)
            self._send(request.course.prefill.entry, parcel)

    def _launch_another(self) -> None:
        """Let one more request come where the traffic depends on what is done."""
        traffic = self._traffic
        assert isinstance(traffic, Offline | Closed)
        lengths = traffic.lengths(self._rng)
        time_s = self.now_s + traffic.gap_s
        self._at(time_s, self._arrive, (time_s, *lengths), False)

    # messages

    def _send(self, edge: int, parcel: Parcel) -> None:
        if parcel.tokens > 1 and self._policy.sends_singly and not parcel.is_prompt:
            for request in parcel.requests:
                self._send(edge, Parcel.of_decodes([request]))
            return
        parcel.edge, parcel.sent_s = edge, self.now_s
        target = self._targets[edge][0]
        # From a prompt, only the token that follows it leaves the pipeline.
        tokens = 1 if target == OUTSIDE and parcel.is_prompt else parcel.tokens
        arrival_s = self._fabric.send(edge, tokens, self.now_s)
        heappush(self._events, (arrival_s, next(self._order), self._receive, (edge, parcel)))

    def _receive(self, edge: int, parcel: Parcel) -> None:
        if self._has_lost:
            kept = parcel.without_lost()
            if kept is None:
                return
            parcel = kept
        target, segment = self._targets[edge]
        if target == OUTSIDE:
            self._collect(parcel)
            return
        station = self.stations[target]
        station.queues[segment].append(parcel)
        if station.step is None and not station.is_waking:
            self._wake(target, self.now_s + self._policy.delay_s)

    # steps

    def _wake(self, stage: int, time_s: float) -> None:
        """Start a step then, after all else that happens at the same moment."""
        self.stations[stage].is_waking = True
        heappush(self._events, (time_s, next(self._order), self._start, (stage,)))

    def _start(self, stage: int) -> None:
        station = self.stations[stage]
        station.is_waking = False
        step = None if station.is_down or station.step is not None else station.next_step()
        if step is not None:
            station.step, station.begun_s = step, self.now_s
            time_s = self.now_s + step.seconds
            heappush(self._events, (time_s, next(self._order), self._finish, (stage, step)))

    def _finish(self, stage: int, step: Step) -> None:
        station = self.stations[stage]
        if station.step is not step:
            return  # it failed meanwhile
        station.end_step(self.now_s)
        if step.segment < station.last_segment:
            station.queues[step.segment + 1].extend(step.parcels)
        else:
            self.intake.hear(step.parcels, self.now_s)
            self._send_on(stage, step.parcels)
        if not station.is_waking:
            self._wake(stage, self.now_s)

    def _send_on(self, stage: int, parcels: list[Parcel]) -> None:
        if self._is_split:
            self._send_kv(stage, parcels)
        for edge, merged in by_edge(parcels, stage, self._leaving[stage]).items():
            self._send_all(edge, merged)

    def _send_all(self, edge: int, parcels: list[Parcel]) -> None:
        is_exit = self._targets[edge][0] == OUTSIDE
        for parcel in parcels:
            if not is_exit or not parcel.is_prompt or parcel.is_prompt_end:
                self._send(edge, parcel)

    def _send_kv(self, stage: int, parcels: list[Parcel]) -> None:
        """Send the KV of what was prefilled to the stages that decode those layers."""
        for parcel in parcels:
            request = parcel.requests[0]
            assert request.course is not None
            ways = request.course.moves.get(stage, ()) if parcel.is_prompt else ()
            for edge, layers in ways:
                amount = parcel.tokens * layers
                arrival_s = self._fabric.send(edge, amount, self.now_s)
                self._at(arrival_s, self._receive_kv, request, amount)

    def _receive_kv(self, request: Request, amount: int) -> None:
        if self.intake.move_kv(request, amount):
            if request.is_due:
                self._decode([request])
            self._admit()

    # tokens

    def _collect(self, parcel: Parcel) -> None:
        if parcel.is_prompt:
            self._collect_prompt(parcel.requests[0])
            return
        self.recorder.tokens_of(parcel, self.now_s)
        self._decode(self._going(parcel.requests))

    def _collect_prompt(self, request: Request) -> None:
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

    def _going(self, requests: list[Request]) -> list[Request]:
        """Count a token of each request, and return those that have another one to decode."""
        going: list[Request] = []
        for request in requests:
            request.emitted += 1
            if request.emitted >= request.output_tokens:
                self._end(request)
            elif self.intake.room.holds(request):
                going.append(request)
            else:
                self._put_out([request])
        return going

    def _decode(self, requests: list[Request]) -> None:
        entering: dict[int, list[Request]] = {}
        for request in requests:
            assert request.course is not None
            entering.setdefault(request.course.decode.entry, []).append(request)
        for edge, group in entering.items():
            self._send(edge, Parcel.of_decodes(group))

    def _end(self, request: Request) -> None:
        self.intake.end(request)
        if isinstance(self._traffic, Offline):
            self._feed()
        elif isinstance(self._traffic, Closed):
            self._launch_another()
        self._admit()

    def _feed(self) -> None:
        assert isinstance(self._traffic, Offline)
        if self.intake.room.fullest_layer() <= self._traffic.high_water:
            self._launch_another()

    # failures

    def _fail(self, stage: int) -> None:
        station = self.stations[stage]
        station.is_down = True
        station.end_step(self.now_s)
        self._put_out([r for r in self.intake.running.values() if r.is_on(stage)])

    def _repair(self, stage: int) -> None:
        self.stations[stage].is_down = False
        self._admit()
        self._wake(stage, self.now_s)

    def _put_out(self, requests: list[Request]) -> None:
        """Let requests start over; what of them waits at stages is thrown away."""
        self.intake.put_out(requests)
        self._has_lost = self._has_lost or bool(requests)
        for station in self.stations if requests else ():
            station.drop_lost()
        self._admit()

    def _snapshot_again(self, every_s: float) -> None:
        self._snapshot()
        if self._events:
            self._at(self.now_s + every_s, self._snapshot_again, every_s)

    def _snapshot(self) -> None:
        self.recorder.take(
            Snapshot(
                at_s=self.now_s,
                arrived=self.recorder.arrived,
                finished=self.recorder.finished,
                tokens=self.recorder.tokens,
                decoded=self.recorder.decoded,
                waiting=len(self.intake.waiting),
                running=len(self.intake.running),
                busy_s=tuple(station.busy_s(self.now_s) for station in self.stations),
                kv_share=self.intake.room.shares(),
                queued_tokens=tuple(station.waiting_tokens for station in self.stations),
            )
        )
