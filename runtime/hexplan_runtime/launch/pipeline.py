"""A running plan on this machine: one process for each device of each stage."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Self

import torch

from hexplan.errors import HexplanError
from hexplan.measured.observation_file import ObservationFile
from hexplan.plan import ENTRY, EXIT, Plan
from hexplan.schedule.routing import admit_in_order
from hexplan_runtime.batch import Batch, merge, regroup
from hexplan_runtime.engine.engine import EdgeTokens, Engine, EntryRow
from hexplan_runtime.launch.collecting import Collector
from hexplan_runtime.launch.fleet import Fleet
from hexplan_runtime.launch.startup import RankStats, start
from hexplan_runtime.launch.supported import require_tensor_parallel
from hexplan_runtime.model.model_files import find_model_folder
from hexplan_runtime.net.gloo import PeerLost
from hexplan_runtime.net.transport import Sends
from hexplan_runtime.request import Request, TokenEvent
from hexplan_runtime.stage.mailbox import drain
from hexplan_runtime.stage.observing import Observer

_JOIN_S = 5.0
"""How long a receiving thread may take to notice that its rank is gone."""


class Pipeline:
    """A running plan.

    Examples
    --------
    >>> with Pipeline(plan) as pipeline:  # doctest: +SKIP
    ...     for event in pipeline.generate([Request((1, 2, 3), max_tokens=8)]):
    ...         print(event.token_id)

    Parameters
    ----------
    model_folder
        Where the weights are; the folder that the plan names if None.
    start_timeout_s
        How long ranks may take to read their weights and to connect.
    observe
        Where to write how long each step and message takes; nothing is timed if None.
    """

    def __init__(
        self,
        plan: Plan,
        model_folder: Path | None = None,
        *,
        start_timeout_s: float = 120.0,
        observe: ObservationFile | None = None,
    ) -> None:
        require_tensor_parallel(plan)
        self.plan = plan
        self.stats: tuple[RankStats, ...] = ()
        """What each rank read and holds, in the order of the plan."""
        self._folder = find_model_folder(plan, model_folder)
        self._start_timeout_s = start_timeout_s
        self._engine = Engine(plan)
        self._collector = Collector(observe) if observe is not None else None
        self._fleet = Fleet(self._collector.take if self._collector else None)
        self._observer: Observer | None = None
        self._senders: Mapping[str, Sends] = {}
        self._drains: list[Thread] = []
        self._is_running = False
        self._is_generating = False

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every process of this launch; it is safe to call this twice.

        Raises
        ------
        InputError
            The observations could not be written.
        """
        self._is_running = False
        self._fleet.stop()
        for thread in self._drains:
            thread.join(_JOIN_S)
        if self._observer is not None:
            self._observer.close()
        if self._collector is not None:
            self._collector.finish()

    def check(self, requests: Sequence[Request]) -> None:
        """Refuse requests that this pipeline could never run; it need not be running yet.

        Raises
        ------
        InputError
            A prompt has a token that the model does not know, or a request is too long.
        """
        for index, request in enumerate(requests):
            self._engine.check(index, request)

    def generate(self, requests: Sequence[Request]) -> Iterator[TokenEvent]:
        """Yield the tokens of all requests as they come; those of one request come in order.

        Requests wait while no route has room for them. Only one call may run at a time. A caller
        that drops the iterator ends its requests.

        Raises
        ------
        InputError
            A request is wrong, or too long for every route.
        LaunchError
            A rank failed.
        """
        if not self._is_running:
            raise HexplanError("the pipeline is not running", hint="use it in a `with` statement")
        self.check(requests)
        return self._generate(deque(enumerate(requests)))

    def edge_tokens(self) -> tuple[EdgeTokens, ...]:
        """Return how many tokens were sent over each edge, to compare with the plan's shares."""
        return self._engine.edge_tokens()

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids of the ranks, in the order of the plan."""
        return self._fleet.pids

    def _generate(self, waiting: deque[tuple[int, Request]]) -> Iterator[TokenEvent]:
        if self._is_generating:
            raise HexplanError("another `generate` of this pipeline is still running")
        self._is_generating = True
        unfinished = len(waiting)
        try:
            while unfinished:
                self._admit(waiting)
                for event in self._receive():
                    unfinished -= event.is_last
                    yield event
        finally:
            self._is_generating = False
            if self._is_running:
                self._send(self._engine.abandon())

    def _admit(self, waiting: deque[tuple[int, Request]]) -> None:
        """Send the prompts of waiting requests, in their order, as long as there is room."""
        admitted: list[EntryRow] = []
        for rows in admit_in_order(waiting, lambda one: self._engine.admit(*one)):
            admitted += rows
        self._send(admitted)

    def _receive(self) -> list[TokenEvent]:
        """Wait for tokens, and send them back in for the next step before anyone looks at them."""
        batch = self._fleet.next_news()
        assert isinstance(batch, Batch)
        events, together = self._engine.receive(batch)
        for rows in together:
            self._send_to(rows[0].stage, [merge([_as_batch(row) for row in rows])])
        return events

    def _send(self, rows: Sequence[EntryRow]) -> None:
        """Send rows in groups, as far as the limits go."""
        for stage in self._senders:
            mine = [_as_batch(row) for row in rows if row.stage == stage]
            self._send_to(stage, regroup(mine, self._engine.limits))

    def _send_to(self, stage: str, batches: Iterable[Batch]) -> None:
        try:
            for batch in batches:
                self._senders[stage].send(batch)
        except PeerLost as loss:
            self._fleet.tell(loss)

    def _start(self) -> None:
        is_observed = self._collector is not None
        timeout_s = self._start_timeout_s
        started = start(self._fleet, self.plan, self._folder, timeout_s, is_observed=is_observed)
        self.stats, ends = started.stats, started.ends
        if self._collector is not None:
            self._collector.begin()
            self._observer = Observer(self._collector.take)
            ends = self._observer.over_ends(ends, sends_from=ENTRY, receives_at=EXIT)
        self._senders = ends.senders
        for receiver in ends.receivers.values():
            self._drains.append(drain(receiver, self._fleet.tell))
        self._is_running = True


def _as_batch(entry: EntryRow) -> Batch:
    ids = torch.tensor(entry.token_ids, dtype=torch.int64) if entry.token_ids else None
    return Batch((entry.row,), ids)
