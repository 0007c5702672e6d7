"""Who waits, who is in, and whose KV is kept."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from hexplan_solver.simulate.kv_room import KvRoom
from hexplan_solver.simulate.parcel import Parcel, Request
from hexplan_solver.simulate.pipeline import Pipeline
from hexplan_solver.simulate.policy import Policy
from hexplan_solver.simulate.recorder import Recorder
from hexplan_solver.simulate.router import Open, ResponseRouter, make_router


class Intake:
    """Requests from their arrival to their end."""

    def __init__(self, pipeline: Pipeline, policy: Policy, recorder: Recorder, is_up: Open) -> None:
        self.room = KvRoom(pipeline, policy.reservation)
        self.waiting: deque[Request] = deque()
        """Requests not admitted yet, first come, first served."""
        self.running: dict[int, Request] = {}
        """Admitted requests, by number."""
        self._recorder = recorder
        self._router = make_router(pipeline, policy, self.room, is_up)

    def take(self, request: Request) -> bool:
        """Let a request wait; say whether it may: some route must have room for it when idle."""
        self._recorder.arrived += 1
        if self._router.could_serve(request):
            self.waiting.append(request)
            return True
        self._recorder.turned_away += 1
        return False

    def turn_away_last(self) -> None:
        """Let the last request that waits go."""
        self.waiting.pop()
        self._recorder.turned_away += 1

    def admit(self, now_s: float) -> Iterator[Request]:
        """Admit requests in their order, with a course and KV room, until one finds no room."""
        while self.waiting:
            request = self.waiting[0]
            course = self._router.choose(request)
            if course is None:
                return
            self.waiting.popleft()
            self.room.reserve(request, course)
            request.admitted_s = now_s
            self.running[request.number] = request
            yield request

    def hear(self, parcels: Iterable[Parcel], now_s: float) -> None:
        """Tell a router that wants to know how long parcels took that a stage is done with."""
        if isinstance(self._router, ResponseRouter):
            for parcel in parcels:
                self._router.hear(parcel.edge, now_s - parcel.sent_s)

    def move_kv(self, request: Request, amount: int) -> bool:
        """Note that KV has moved, in tokens times layers; say whether it was the last of it."""
        request.unmoved -= amount
        if request.unmoved or self.running.get(request.number) is not request:
            return False
        self.room.release_lent(request)
        return True

    def end(self, request: Request) -> None:
        """Let a finished request go."""
        del self.running[request.number]
        self.room.release(request)
        self._recorder.done(request)

    def put_out(self, requests: Iterable[Request]) -> None:
        """Take the KV of requests away, and let them wait again, ahead of all that came later."""
        again = []
        for request in requests:
            request.is_lost = True
            del self.running[request.number]
            self.room.release(request)
            self._recorder.restarts += 1
            again.append(request.again())
        again.sort(key=lambda request: request.number)
        self.waiting.extendleft(reversed(again))
