from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from hexplan.errors import InputError, LaunchError
from hexplan.frozen_model import FrozenModel
from hexplan_runtime.launch.fleet import Fleet, RankProcess
from hexplan_runtime.net.gloo import PeerLost
from hexplan_runtime.processes import ChildProcess, Ended, Here, Said
from hexplan_runtime.stage.messages import PEER_LOST, Report


class Nothing(FrozenModel):
    """What no rank takes for its assignment."""


@pytest.fixture(scope="module")
def workers() -> Iterator[list[RankProcess]]:
    """Give two real ranks that got no assignment and so have ended, with an error."""
    command = Here().command("hexplan_runtime.stage.worker")
    ranks = [ChildProcess(name, command, Report, lambda _: None) for name in ("rank a", "rank b")]
    for rank in ranks:
        rank.start()
        rank.tell(Nothing())
        assert rank.join(60)
    yield ranks


def test_a_rank_that_lost_its_peer_is_not_the_culprit(workers: list[RankProcess]) -> None:
    fleet = Fleet()
    fleet.tell(Ended(workers[0], PEER_LOST))
    fleet.tell(PeerLost("connection closed"))
    fleet.tell(Ended(workers[1], -9))
    with pytest.raises(LaunchError, match="rank b was ended by SIGKILL"):
        fleet.next_news()


def test_a_lost_edge_is_blamed_on_the_rank_that_ended(workers: list[RankProcess]) -> None:
    fleet = Fleet()
    fleet.tell(PeerLost("connection closed"))
    fleet.tell(Ended(workers[0], PEER_LOST))
    fleet.tell(Ended(workers[1], 1))
    with pytest.raises(LaunchError, match="rank b ended with exit code 1") as error:
        fleet.next_news()
    assert error.value.hint is not None
    assert "its last lines were:" in error.value.hint
    assert "Assignment" in error.value.hint  # what the rank really said


def test_a_lost_peer_is_told_when_nobody_else_ended(workers: list[RankProcess]) -> None:
    fleet = Fleet()
    fleet.tell(Ended(workers[0], PEER_LOST))
    with pytest.raises(LaunchError, match="rank a ended with exit code 75"):
        fleet.next_news()


def test_a_failure_is_told_again(workers: list[RankProcess]) -> None:
    fleet = Fleet()
    report = Report(event="refused", message="no such weight", hint="download it again")
    fleet.tell(Said(workers[0], report))
    for _ in range(2):
        with pytest.raises(InputError, match="rank a: no such weight") as error:
            fleet.next_news()
        assert error.value.hint == "download it again"


def test_no_news_until_the_deadline_is_nothing() -> None:
    assert Fleet().next_news(time.monotonic() + 0.01) is None


def test_ended_ranks_are_stopped_without_harm(workers: list[RankProcess]) -> None:
    for worker in workers:
        worker.release()
        assert worker.join(1)
