"""Admission: which requests wait, which are running, and whose KV is kept."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from hexplan.schedule.routing import admit_in_order
from hexplan_solver.simulate.kv_reservations import KvReservations
from hexplan_solver.simulate.pipeline_model import PipelineModel
from hexplan_solver.simulate.policy import Policy
from hexplan_solver.simulate.recorder import Recorder, Snapshot
from hexplan_solver.simulate.request_route import RequestRoute
from hexplan_solver.simulate.request_state import RequestState
from hexplan_solver.simulate.router import IsUp, ResponseRouter, RouteRouter, make_router
from hexplan_solver.simulate.stage_state import StageState
from hexplan_solver.simulate.token_group import TokenGroup


class Admission:
    """Requests from their arrival to their end."""

    def __init__(
        self, pipeline: PipelineModel, policy: Policy, recorder: Recorder, is_up: IsUp
    ) -> None:
        self.kv = KvReservations(pipeline, policy.reservation)
        self.waiting: deque[RequestState] = deque()
        """Requests not admitted yet, first come, first served."""
        self.running: dict[int, RequestState] = {}
        """Admitted requests, by number."""
        self._recorder = recorder
        self._router = make_router(pipeline, policy, self.kv, is_up)

    def enqueue(self, request: RequestState) -> bool:
        """Let a request wait, or turn it away if no route has room for it even when idle."""
        self._recorder.arrived += 1
        if self._router.could_serve(request):
            self.waiting.append(request)
            return True
        self._recorder.turned_away += 1
        return False

    def turn_away(self, request: RequestState) -> None:
        """Turn a request away that has just come, if it has to wait."""
        if self.waiting and self.waiting[-1] is request:
            self.waiting.pop()
            self._recorder.turned_away += 1

    def admit(self, now_s: float) -> Iterator[RequestState]:
        """Admit waiting requests, with a route and KV room, until one finds no room."""

        def try_admit(request: RequestState) -> RequestState | None:
            return request if self.let_in(request, now_s) else None

        return admit_in_order(self.waiting, try_admit)

    def let_in(self, request: RequestState, now_s: float) -> bool:
        """Give a request a route and KV room, and say whether there is some."""
        route = self._router.choose(request)
        if route is None:
            return False
        self.kv.reserve(request, route)
        request.admitted_s = now_s
        self.running[request.number] = request
        return True

    def open_routes(self) -> list[RequestRoute]:
        """Return the routes whose stages are all up, whoever has their room."""
        assert isinstance(self._router, RouteRouter)
        return self._router.open_routes()

    def record_responses(self, groups: Iterable[TokenGroup], now_s: float) -> None:
        """Tell a router that goes by response times how long these groups took."""
        if isinstance(self._router, ResponseRouter):
            for group in groups:
                self._router.record_response(group.edge, now_s - group.sent_s)

    def take_snapshot(self, now_s: float, stages: Sequence[StageState]) -> None:
        """Record how things stand."""
        recorder = self._recorder
        recorder.take(
            Snapshot(
                at_s=now_s,
                arrived=recorder.arrived,
                finished=recorder.finished,
                tokens=recorder.tokens,
                decoded=recorder.decoded,
                waiting=len(self.waiting),
                running=len(self.running),
                busy_s=tuple(stage.busy_s(now_s) for stage in stages),
                kv_share=self.kv.shares(),
                queued_tokens=tuple(stage.waiting_tokens for stage in stages),
            )
        )

    def move_kv(self, request: RequestState, layer_tokens: int) -> bool:
        """Note that KV has moved, in tokens times layers; say whether it was the last of it."""
        request.unmoved -= layer_tokens
        if request.unmoved or self.running.get(request.number) is not request:
            return False
        self.kv.release_moved(request)
        return True

    def let_out(self, request: RequestState) -> None:
        """Free the KV room of a request that comes back later, with its KV."""
        del self.running[request.number]
        self.kv.release(request)

    def end(self, request: RequestState) -> None:
        """Let a finished request go."""
        del self.running[request.number]
        self.kv.release(request)
        self._recorder.done(request)

    def evict(self, requests: Iterable[RequestState]) -> None:
        """Take the KV of requests away; they wait again, ahead of all that came later."""
        again = []
        for request in requests:
            request.is_lost = True
            del self.running[request.number]
            self.kv.release(request)
            self._recorder.restarts += 1
            again.append(request.again())
        again.sort(key=lambda request: request.number)
        self.waiting.extendleft(reversed(again))
