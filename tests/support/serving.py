"""A server with a real plan behind it, in this process, for clients that use HTTP."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread

import httpx
from support.processes import wait_until

from hexplan.errors import HexplanError
from hexplan.plan import Plan
from hexplan_runtime.launch.startup import RankStats
from hexplan_runtime.serve.http.listening import Place
from hexplan_runtime.serve.server import Load, Server
from hexplan_runtime.serve.settings import ServeSettings

PATIENCE_S = 180.0
"""A busy machine may take long to read libraries and weights."""
TEMPLATE = (
    "{% if tools %}Tools: {{ tools | tojson }}\n{% endif %}"
    "{% for message in messages %}"
    "{% if message.role == 'robot' %}{{ raise_exception('no robots') }}{% endif %}"
    "{{ message.content }}\n{% endfor %}"
)
"""A chat as its texts, a line each."""


@dataclass
class Heard:
    """What a server told whoever follows it."""

    url: str = ""
    is_up: Event = field(default_factory=Event)
    """Set once requests are answered, or never will be."""
    stats: Sequence[RankStats] = ()
    loads: list[Load] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    drained: list[bool] = field(default_factory=list)

    def ready(self, stats: Sequence[RankStats], elapsed_s: float) -> None:
        self.stats = stats

    def serving(self, url: str) -> None:
        self.url = url
        self.is_up.set()

    def load(self, load: Load) -> None:
        self.loads.append(load)

    def draining(self, num_requests: int, drain_s: float) -> None:
        pass

    def ended(self, is_drained: bool) -> None:
        self.drained.append(is_drained)

    def note(self, line: str) -> None:
        self.notes.append(line)

    def log(self, line: str) -> None:
        self.lines.append(line)


@dataclass
class Served:
    """A server that runs."""

    url: str
    heard: Heard
    stop: Event
    thread: Thread
    errors: list[HexplanError]

    def client(self, **headers: str) -> httpx.Client:
        """Return a client that knows nothing of OpenAI."""
        return httpx.Client(base_url=self.url, headers=headers, timeout=60)

    def running(self) -> int:
        """Return the requests that hold room."""
        return int(httpx.get(f"{self.url}/plan").json()["running"])

    def end(self) -> None:
        """Stop, and wait for the end."""
        self.stop.set()
        self.thread.join(PATIENCE_S)
        assert not self.thread.is_alive()


@contextmanager
def served(
    plan: Plan, folder: Path, settings: ServeSettings | None = None, drain_s: float = 30.0
) -> Iterator[Served]:
    """Serve a plan at a free port of loopback."""
    heard, stop, errors = Heard(), Event(), list[HexplanError]()
    settings = settings or ServeSettings(plan.model.name)
    place = Place(settings.access.address, 0, drain_s)
    server = Server(plan, folder, settings, place, heard)

    def run() -> None:
        try:
            server.run(stop)
        except HexplanError as error:
            errors.append(error)
            heard.is_up.set()

    thread = Thread(target=run, name="served")
    thread.start()
    found = Served("", heard, stop, thread, errors)
    try:
        assert heard.is_up.wait(PATIENCE_S), "not up in time"
        assert not errors
        found.url = heard.url
        assert wait_until(lambda: httpx.get(f"{found.url}/readyz").status_code == 200)
        yield found
    finally:
        found.end()
