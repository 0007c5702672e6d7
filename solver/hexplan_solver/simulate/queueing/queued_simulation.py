"""A simulation in which a queue says who runs, and requests make way for others."""

from __future__ import annotations

from collections.abc import Iterable

from hexplan.schedule.kv_growth import Share
from hexplan.schedule.queueing.choices import spare_room, who_runs, who_stops
from hexplan.schedule.queueing.job import Job
from hexplan.schedule.queueing.request_queue import RequestQueue
from hexplan_solver.simulate.pipeline_model import PipelineModel
from hexplan_solver.simulate.policy import Policy
from hexplan_solver.simulate.queueing.host_memory import HostMemory
from hexplan_solver.simulate.queueing.work import work_of
from hexplan_solver.simulate.request_state import RequestState
from hexplan_solver.simulate.simulation import Simulation
from hexplan_solver.simulate.traffic import Offline, Replay, Traffic
from hexplan_solver.simulate.window import Window


class QueuedSimulation(Simulation):
    """Requests are let in, decode and make way by precedence.

    Raises
    ------
    ValueError
        If the traffic feeds what the KV caches take, or routes are not the plan's.
    """

    def __init__(
        self, pipeline: PipelineModel, traffic: Traffic, policy: Policy, window: Window
    ) -> None:
        if isinstance(traffic, Offline) or pipeline.is_split or policy.routing != "routes":
            raise ValueError("a queue needs requests that wait, and the routes of a plan")
        super().__init__(pipeline, traffic, policy, window)
        params = policy.queue_params
        self._queue = RequestQueue(policy.queue, work_of(pipeline, policy), params)
        self._spare_share = params.spare_share
        self._most = policy.max_decode_tokens * len(pipeline.stages)
        space = self.admission.kv.space
        self._host = HostMemory(pipeline, space, params.host_share)
        self._waiting: dict[int, RequestState] = {}
        """Requests that hold nothing, by number."""
        self._is_evicting = False
        self._runs: frozenset[int] = frozenset()
        """Requests that may decode."""
        self._parked: dict[int, RequestState] = {}
        """Requests whose next token waits here."""
        self._stopping: set[int] = set()
        """Requests that make way once their token is back."""
        self._moving: dict[int, RequestState] = {}
        """Requests whose KV is on its way to host memory, and those whose KV is on its way back."""

    # what happens to requests

    def _admit(self) -> None:
        waiting = self.admission.waiting
        if waiting and (last := waiting[-1]).number not in self._queue:
            if isinstance(self._traffic, Replay) and self._traffic.clients:
                last.client = self._traffic.clients[last.number]
            job = Job(last.number, last.prompt_tokens, last.output_tokens, last.client)
            self._queue.arrive(job, self.now_s)
            self._waiting[last.number] = last
        self._rule()

    def _going(self, requests: list[RequestState]) -> list[RequestState]:
        for request in requests:
            self._queue.emit(request.number, self.now_s)
        return super()._going(requests)

    def _decode(self, requests: list[RequestState]) -> None:
        self._parked.update((request.number, request) for request in requests)
        if self._queue.must_order(self.now_s):
            self._rule()
        else:
            self._go_on()

    def _end(self, request: RequestState) -> None:
        self._queue.leave(request.number)
        self._stopping.discard(request.number)
        super()._end(request)

    def _fail(self, stage: int) -> None:
        lost = [request for request in self._host.requests.values() if request.is_on(stage)]
        for request in lost:
            self._host.give_back(request)
            self.recorder.restarts += 1
            self.admission.waiting.appendleft(request.again())
        super()._fail(stage)
        self._note_waiting()

    def _evict(self, requests: list[RequestState]) -> None:
        for request in requests:
            self._parked.pop(request.number, None)
            self._stopping.discard(request.number)
            if self._moving.pop(request.number, None) is not None:
                self._host.give_back(request)
        self._is_evicting = True
        super()._evict(requests)
        self._is_evicting = False
        self._note_waiting()
        self._rule()

    def _note_waiting(self) -> None:
        """Take note of the requests that start over."""
        self._waiting = {request.number: request for request in self.admission.waiting}

    # who runs

    def _rule(self) -> None:
        """Decide who decodes, let in who finds room, and let others make way."""
        if self._is_evicting:
            return
        ordered = self._queue.ordered(self.now_s)
        room = self._most
        for number in ordered:
            if not room:
                break
            request = self._waiting.get(number) or self._host.requests.get(number)
            if request is None:
                room -= number in self.admission.running and number not in self._stopping
            elif self._let_in(request):
                room -= 1
            else:
                self._make_room(request)
                break
        staying = self.admission.running.keys() - self._stopping
        self._runs = who_runs(ordered, staying, self._most)
        self._make_spare_room()
        self._go_on()

    def _go_on(self) -> None:
        """Send the tokens of those that decode, and move those that make way."""
        for number in [number for number in self._parked if number in self._stopping]:
            self._leave(self._parked.pop(number))
        going = [number for number in self._parked if number in self._runs]
        super()._decode([self._parked.pop(number) for number in going])

    def _let_in(self, request: RequestState) -> bool:
        """Let a request in that waits or comes back, and say whether there is room."""
        if request.number not in self._host.requests:
            if not self.admission.let_in(request, self.now_s):
                return False
            self.admission.waiting.remove(request)
            del self._waiting[request.number]
            self._queue.admit(request.number)
            self._begin(request)
            return True
        assert request.route is not None
        space = self.admission.kv.space
        if not space.has_room(request.route.holds, request.reserved_tokens):
            return False
        space.reserve(request.route.holds, request.reserved_tokens)
        self.admission.running[request.number] = request
        del self._host.requests[request.number]
        self._moving[request.number] = request
        self._at(self.now_s + self._host.move_s(request), self._moved_back, request)
        return True

    def _make_room(self, request: RequestState) -> None:
        """Let those of lower precedence make way that hold what a request needs."""
        if not self._queue.may_stop:
            return
        order = self._queue.in_order([request.number, *self.admission.running])
        places = {number: place for place, number in enumerate(order)}
        held = [one for one in self.admission.running.values() if self._may_stop(one)]
        leaving = [one for one in self.admission.running.values() if self._is_leaving(one)]
        routes = self.admission.open_routes() if request.route is None else [request.route]
        tokens = request.reserved_tokens or self.admission.kv.needed_tokens(request)
        ways = [
            who_stops(
                self.admission.kv.space,
                Share(places[request.number], route.holds, tokens),
                self._shares(held, places),
                self._shares(leaving, places),
            )
            for route in routes
        ]
        stops = min([way for way in ways if way is not None], key=len, default=[])
        going = [self.admission.running[order[place]] for place in stops]
        if self._host.has_room(going):
            self._stopping.update(one.number for one in going)

    def _make_spare_room(self) -> None:
        """Let the last of those make way that only wait, so that whoever arrives finds room."""
        idle = self._parked.keys() - self._runs
        if not idle or self._stopping or not self._queue.may_stop:
            return
        last = self._parked[self._queue.in_order(idle)[-1]]
        assert last.route is not None
        is_full = not spare_room(self.admission.kv.space, last.route.holds, self._spare_share)
        if is_full and self._host.has_room([last]):
            self._stopping.add(last.number)

    def _may_stop(self, request: RequestState) -> bool:
        is_decoding = request.emitted > 0
        return is_decoding and request.number not in self._stopping | self._moving.keys()

    def _is_leaving(self, request: RequestState) -> bool:
        return request.number in self._stopping

    def _shares(self, requests: Iterable[RequestState], places: dict[int, int]) -> list[Share]:
        return [
            Share(places[one.number], one.route.holds, one.reserved_tokens)
            for one in requests
            if one.route is not None
        ]

    # making way

    def _leave(self, request: RequestState) -> None:
        """Move a request's KV to host memory; where that is full, it starts over later."""
        if self._host.take(request):
            self.recorder.swaps += 1
            self._moving[request.number] = request
            self._at(self.now_s + self._host.move_s(request), self._moved_out, request)
        else:
            self._stopping.discard(request.number)
            self.admission.evict([request])
            self._waiting[request.number] = self.admission.waiting[0]
            self._at(self.now_s, self._rule)

    def _moved_out(self, request: RequestState) -> None:
        if self._moving.get(request.number) is not request:
            return
        del self._moving[request.number]
        self._stopping.discard(request.number)
        self.admission.let_out(request)
        self._host.requests[request.number] = request
        self._rule()

    def _moved_back(self, request: RequestState) -> None:
        if self._moving.get(request.number) is not request:
            return
        del self._moving[request.number]
        self._host.give_back(request)
        self._decode([request])
