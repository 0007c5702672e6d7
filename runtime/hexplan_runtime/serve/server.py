"""The server: starts a plan, answers HTTP, and ends both in good order."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Protocol, cast

import uvicorn

from hexplan.errors import LaunchError
from hexplan.plan import Plan
from hexplan_runtime.applying.applier import Applier
from hexplan_runtime.applying.desk import ApplyDesk
from hexplan_runtime.applying.healer import Healer
from hexplan_runtime.applying.view import Current
from hexplan_runtime.control.answering import Control, Orders, Seen
from hexplan_runtime.control.places import new_socket
from hexplan_runtime.control.server import ControlServer
from hexplan_runtime.engine.snapshot import EngineSnapshot
from hexplan_runtime.engine.weighing.news import WeightNews
from hexplan_runtime.launch.pipeline import Pipeline
from hexplan_runtime.launch.places import Hosts
from hexplan_runtime.launch.stage_start import Restarts
from hexplan_runtime.launch.startup import RankStats
from hexplan_runtime.model.architecture import read_stop_ids
from hexplan_runtime.model.model_files import find_model_folder
from hexplan_runtime.serve.app import make_app
from hexplan_runtime.serve.http.connections import bounded
from hexplan_runtime.serve.http.descriptors import allow_descriptors
from hexplan_runtime.serve.http.listening import Place, bind, url_of
from hexplan_runtime.serve.prompts import ChatTokenizer
from hexplan_runtime.serve.service import Launched, Service
from hexplan_runtime.serve.settings import ServeSettings
from hexplan_runtime.text import read_tokenizer

_LOOK_S = 0.5
"""How often whoever follows the server hears of it."""
_CLOSE_S = 5
"""How long answers may take to leave, once all tokens are made."""
_BACKLOG = 2048
_LONG_S = 86400.0
"""Longer than any request takes."""


@dataclass(frozen=True, slots=True)
class Load:
    """What a running server does."""

    plan: Plan
    """The one that runs now."""
    seen: EngineSnapshot
    tokens_per_s: float
    """Prompt and output tokens, over the last seconds."""
    stage_tokens_per_s: dict[str, float]
    """The same for each stage."""
    is_ready: bool


class ServeListener(Protocol):
    """Whoever follows a server."""

    def ready(self, stats: Sequence[RankStats], elapsed_s: float) -> None:
        """Hear that every stage is up."""

    def serving(self, url: str) -> None:
        """Hear that requests are answered."""

    def load(self, load: Load) -> None:
        """Hear what the server does, twice a second."""

    def draining(self, num_requests: int, drain_s: float) -> None:
        """Hear that no more requests are taken."""

    def ended(self, is_drained: bool) -> None:
        """Hear whether all requests were over when the server ended."""

    def log(self, line: str) -> None:
        """Take a line about a request, in any thread."""

    def note(self, line: str) -> None:
        """Take a line about a stage that is lost or back, in any thread."""


class Server:
    """A plan behind an HTTP endpoint; `run` starts everything.

    Parameters
    ----------
    folder
        Where the weights are; the folder that the plan names if None.
    hosts
        How the plan's hosts are reached; None runs all of them on this machine.

    Raises
    ------
    InputError
        The model folder is not the plan's, or lacks a file; or the system does not allow as many
        connections.
    """

    def __init__(
        self,
        plan: Plan,
        folder: Path | None,
        settings: ServeSettings,
        place: Place,
        listener: ServeListener,
        hosts: Hosts | None = None,
    ) -> None:
        self._plan = plan
        self._folder = find_model_folder(plan, folder)
        self._settings = settings
        self._place = place
        self._listener = listener
        allow_descriptors(settings.limits.connections)
        self._hosts = hosts
        self._drain_s = place.drain_s
        self._tokenizer = cast("ChatTokenizer", read_tokenizer(self._folder))
        self._stop_ids = read_stop_ids(self._folder)

    def run(self, stop: Event) -> None:
        """Start the stages, serve until told to stop, and let requests end.

        Raises
        ------
        InputError
            The address is in use.
        LaunchError
            A stage did not start, or failed.
        """
        with bind(self._place) as listening:
            begun_s = time.monotonic()
            waiting = self._settings.limits.waiting
            made = Pipeline(
                self._plan,
                self._folder,
                max_waiting=waiting,
                hosts=self._hosts,
                restarts=self._restarts(),
                queue=self._settings.queue,
            )
            with made as pipeline:
                start_s = time.monotonic() - begun_s
                self._listener.ready(pipeline.stats, start_s)
                pipeline.core.healing.reweigher.is_on = self._settings.reweighs
                current = Current(self._plan, pipeline.core)
                launched = Launched(
                    current,
                    pipeline.core,
                    pipeline.stats,
                    self._tokenizer,
                    self._stop_ids,
                    self._folder,
                )
                applier = Applier(pipeline, current, self._listener.note)
                desk = ApplyDesk(applier, pipeline.stats, start_s)
                service = Service(launched, self._settings)
                healer = Healer(pipeline, current, applier, self._listener.note, self._drain_s)
                if self._settings.heals:
                    healer.start()
                try:
                    self._serve(_Running(service, pipeline, desk, current), listening, stop)
                finally:
                    healer.stop()

    def _serve(self, running: _Running, listening: socket.socket, stop: Event) -> None:
        service, pipeline = running.service, running.pipeline
        http = _Http(service, self._listener, listening)
        http.start()
        url = url_of(listening)
        self._listener.serving(url)
        is_drained = False
        orders = Orders(stop.set, self._wait_longer, running.desk.answer)
        control = Control(running.look, pipeline.words, orders, url)
        plan, weights = self._plan, WeightNews()
        try:
            with ControlServer(new_socket(plan), control.answer) as door:
                while not stop.wait(_LOOK_S):
                    if running.current.plan is not plan:
                        plan = running.current.plan
                        door.move(new_socket(plan))
                    pipeline.core.require_running()
                    http.require_running()
                    load = _load(service)
                    self._listener.load(load)
                    for line in weights.of(load.plan, load.seen):
                        self._listener.note(line)
                is_drained = self._drain(service, pipeline)
        finally:
            service.health.is_draining = True
            # What is still under way fails now, so that its clients hear of it.
            pipeline.core.close()
            http.stop()
        self._listener.ended(is_drained)

    def _restarts(self) -> Restarts | None:
        how = self._settings
        if not how.restarts:
            return None
        return Restarts(
            most=how.restarts,
            step_limit_s=how.step_limit_s,
            spares=how.spares,
            log=self._listener.note,
        )

    def _wait_longer(self) -> None:
        """Let requests take as long as they like to end."""
        self._drain_s = _LONG_S

    def _drain(self, service: Service, pipeline: Pipeline) -> bool:
        """Let requests end, and say whether all of them did in time."""
        service.health.is_draining = True
        seen = pipeline.core.snapshot()
        self._listener.draining(seen.running + seen.waiting, self._drain_s)
        deadline_s = time.monotonic() + self._drain_s
        while (left_s := deadline_s - time.monotonic()) > 0:
            if pipeline.core.drain(min(left_s, _LOOK_S)):
                return True
            self._listener.load(_load(service))
        return False


def _load(service: Service) -> Load:
    plan, seen = service.state.look()
    rates = service.state.stage_tokens_per_s(seen)
    is_ready = not service.health.obstacles()
    return Load(plan, seen, service.state.tokens_per_s(seen), rates, is_ready)


@dataclass(frozen=True, slots=True)
class _Running:
    """A launch, and what speaks for it."""

    service: Service
    pipeline: Pipeline
    desk: ApplyDesk
    current: Current

    def look(self) -> Seen:
        """Return how the server is."""
        health = self.service.health
        plan, seen = self.service.state.look()
        names = self.current.view.names()
        obstacles = tuple(health.obstacles())
        return Seen(health.is_draining, obstacles, seen, plan, names, health.notice)


class _Http:
    """Answers HTTP in a thread of its own."""

    def __init__(self, service: Service, listener: ServeListener, listening: socket.socket) -> None:
        config = uvicorn.Config(
            make_app(service, listener.log),
            http=bounded(service.settings.limits),  # type: ignore[arg-type]
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="on",
            ws="none",
            backlog=_BACKLOG,
            proxy_headers=False,
            timeout_graceful_shutdown=_CLOSE_S,
        )
        self._server = uvicorn.Server(config)
        self._listening = listening
        self._thread = Thread(target=self._run, daemon=True, name="http")

    def start(self) -> None:
        """Begin to answer, and return once that works."""
        self._thread.start()
        while not self._server.started:
            self.require_running()
            time.sleep(0.01)

    def require_running(self) -> None:
        """Refuse to go on without the thread.

        Raises
        ------
        LaunchError
            It has ended.
        """
        if not self._thread.is_alive():
            raise LaunchError("the HTTP server has ended by itself")

    def stop(self) -> None:
        """Let answers leave, and end."""
        self._server.should_exit = True
        self._thread.join(_CLOSE_S + 2)

    def _run(self) -> None:
        asyncio.run(self._server.serve(sockets=[self._listening]))
