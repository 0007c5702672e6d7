"""Which agents count as lost: those that are silent, not those whose coordinator was held up."""

from __future__ import annotations

import time
from threading import Event

import pytest

from hexplan.errors import HexplanError
from hexplan_runtime.agent.messages import HostReport
from hexplan_runtime.launch import agent_book
from hexplan_runtime.launch.agent_book import keep_beating
from hexplan_runtime.launch.places import HostPlace
from hexplan_runtime.launch.remote_ranks import HostAgent
from hexplan_runtime.processes import ChildProcess, Command

BEAT_S, SILENCE_S = 0.01, 0.03


class Beats(Event):
    """Lets so many beats pass, each of which takes long, as on a machine that is too busy."""

    def __init__(self, agent: HostAgent, beats: int, *, is_heard: bool) -> None:
        super().__init__()
        self._agent, self._left, self._is_heard = agent, beats, is_heard

    def wait(self, timeout: float | None = None) -> bool:
        if self._is_heard:
            self._agent.heard_s, self._agent.silent_looks = time.monotonic(), 0
        time.sleep(3 * SILENCE_S)
        self._left -= 1
        return self._left < 0


def losses(monkeypatch: pytest.MonkeyPatch, beats: int, *, is_heard: bool) -> list[str]:
    """Return why an agent was taken for lost, beat by beat."""
    monkeypatch.setattr(agent_book, "BEAT_S", BEAT_S)
    monkeypatch.setattr(agent_book, "SILENCE_S", SILENCE_S)
    child = ChildProcess("host ada", Command((), {}), HostReport, lambda event: None)
    agent = HostAgent(
        HostPlace("ada", "10.0.0.1", (0,), (), is_here=False), child, time.monotonic()
    )
    found: list[str] = []

    def lose(lost: HostAgent, error: HexplanError) -> None:
        found.append(error.message)

    keep_beating(lambda: [agent], lose, Beats(agent, beats, is_heard=is_heard))
    return found


def test_a_host_that_speaks_is_not_lost_though_its_coordinator_is_held_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert losses(monkeypatch, 5, is_heard=True) == []


def test_a_host_that_is_silent_for_some_looks_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    assert losses(monkeypatch, 3, is_heard=False) == []
    message = "host ada: no word from its agent for 0.03 s"
    assert losses(monkeypatch, 5, is_heard=False) == [message] * 2
