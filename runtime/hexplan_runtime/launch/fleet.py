"""The fleet: all ranks' processes of a launch, and the news from them."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue

from hexplan.errors import HexplanError, InputError, LaunchError
from hexplan.measured.observations import StepSeen
from hexplan_runtime.batch import Batch
from hexplan_runtime.launch.rank_process import Ended, Spoke, WorkerProcess
from hexplan_runtime.net.gloo import PeerLost
from hexplan_runtime.stage.edges import Ends
from hexplan_runtime.stage.mailbox import Loss
from hexplan_runtime.stage.messages import PEER_LOST, EndSeen

_RELEASE_S, _TERMINATE_S, _KILL_S = 2.0, 1.0, 10.0
_CULPRIT_S = 2.0

News = Spoke | Ended | Batch | Ends | Loss


class Fleet:
    """Starts, watches and ends processes; only its own, by their process ids."""

    def __init__(self, hear: Callable[[Sequence[StepSeen | EndSeen]], None] | None = None) -> None:
        self._hear = hear
        """Takes what leaders saw, at once and in the thread that listens to them."""
        self._workers: list[WorkerProcess] = []
        self._news: SimpleQueue[News] = SimpleQueue()
        self._failure: HexplanError | None = None

    def start(self, name: str, assignment: str) -> WorkerProcess:
        """Start a rank."""
        worker = WorkerProcess(name, assignment, self.tell)
        self._workers.append(worker)
        return worker

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids of the ranks."""
        return tuple(worker.pid for worker in self._workers)

    def tell(self, news: News) -> None:
        """Take news from any thread."""
        if self._hear is not None and isinstance(news, Spoke) and news.report.event == "seen":
            self._hear(news.report.seen)
        else:
            self._news.put(news)

    def next_news(self, deadline: float | None = None) -> Spoke | Batch | Ends | None:
        """Wait for good news; nothing if the deadline (by the monotonic clock) passes.

        Raises
        ------
        LaunchError
            A process ended, or an edge was lost.
        InputError
            A rank refused the plan or the model.

        What failed once fails for good.
        """
        if self._failure is not None:
            raise self._failure
        news = self._wait(deadline)
        if isinstance(news, Ended):
            self._failure = self._explain(news)
        elif isinstance(news, PeerLost | HexplanError):
            self._failure = self._explain_loss(news)
        elif isinstance(news, Spoke) and news.report.event == "refused":
            message = f"{news.worker.name}: {news.report.message}"
            self._failure = InputError(message, hint=news.report.hint)
        else:
            return news
        raise self._failure

    def stop(self) -> None:
        """End every process and reap it: first politely, in the end by force."""
        try:
            for worker in self._workers:
                worker.release()
            self._join(_RELEASE_S)
            self._signal(signal.SIGTERM)
            self._join(_TERMINATE_S)
        finally:
            self._signal(signal.SIGKILL)
            self._join(_KILL_S)

    def _join(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        for worker in self._workers:
            worker.join(max(0.0, deadline - time.monotonic()))

    def _signal(self, number: signal.Signals) -> None:
        for worker in self._workers:
            worker.send_signal(number)

    def _wait(self, deadline: float | None) -> News | None:
        timeout_s = None if deadline is None else max(0.0, deadline - time.monotonic())
        try:
            return self._news.get(timeout=timeout_s)
        except Empty:
            return None

    def _explain(self, first: Ended) -> LaunchError:
        """Say which process failed: not one that only lost its peer, if another ends soon."""
        culprit = first
        if first.exit_code == PEER_LOST:
            culprit = self._find_culprit() or first
        words = culprit.worker.last_words
        hint = f"its last lines were:\n{words}" if words else None
        return LaunchError(f"{culprit.worker.name} {_how(culprit.exit_code)}", hint=hint)

    def _explain_loss(self, loss: Loss) -> LaunchError:
        culprit = self._find_culprit()
        return self._explain(culprit) if culprit else LaunchError(f"an edge was lost: {loss}")

    def _find_culprit(self) -> Ended | None:
        """Wait a little for the end of a process that has not just lost its peer."""
        deadline = time.monotonic() + _CULPRIT_S
        while (news := self._wait(deadline)) is not None:
            if isinstance(news, Ended) and news.exit_code != PEER_LOST:
                return news
        return None


def _how(exit_code: int) -> str:
    if exit_code >= 0:
        return f"ended with exit code {exit_code}"
    return f"was ended by {signal.Signals(-exit_code).name}"
