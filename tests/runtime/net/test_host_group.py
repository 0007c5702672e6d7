"""Ranks of one host that share memory, each in a thread or a process of its own."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hexplan.errors import LaunchError
from hexplan_runtime.net.gloo import PeerLost
from hexplan_runtime.net.host_group import HostGroup
from hexplan_runtime.net.host_meeting import HostMeeting

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is shared on Linux alone")
SIZES = (2, 3, 4)
WAIT_S = 30.0


@pytest.fixture(scope="module")
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(max(SIZES)) as threads:
        yield threads


@contextmanager
def met(pool: ThreadPoolExecutor, folder: Path, size: int) -> Iterator[list[HostGroup]]:
    groups = list(pool.map(lambda rank: join(folder, rank, size), range(size)))
    yield groups
    for group in groups:
        group.close()


def join(folder: Path, rank: int, size: int) -> HostGroup:
    group = HostMeeting(folder, "nonce", WAIT_S).meet("stage", rank, size)
    assert isinstance(group, HostGroup)
    return group


@pytest.fixture(scope="module")
def groups(
    pool: ThreadPoolExecutor, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[int, list[HostGroup]]]:
    with ExitStack() as stack:
        yield {
            size: stack.enter_context(met(pool, tmp_path_factory.mktemp("m"), size))
            for size in SIZES
        }


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    size=st.sampled_from(SIZES),
    counts=st.lists(st.integers(0, 200_000), min_size=1, max_size=4),
    dtype=st.sampled_from([torch.float32, torch.bfloat16, torch.float64]),
)
def test_sums_one_after_another_are_exact_and_the_same_bits_on_every_rank(
    pool: ThreadPoolExecutor,
    groups: dict[int, list[HostGroup]],
    size: int,
    counts: list[int],
    dtype: torch.dtype,
) -> None:
    """Also of more numbers than a place holds, so that several parts follow each other."""
    seeded = torch.Generator().manual_seed(sum(counts))
    parts = [torch.randn(size, count, generator=seeded).to(dtype) for count in counts]

    def run(rank: int) -> list[torch.Tensor]:
        return [groups[size][rank].sum(part[rank].clone()) for part in parts]

    found = list(pool.map(run, range(size)))
    for index, part in enumerate(parts):
        total = part[0] + part[1]
        for rank in range(2, size):
            total += part[rank]
        assert all(torch.equal(sums[index], total) for sums in found)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), size=st.sampled_from(SIZES))
def test_every_rank_gets_what_each_other_one_sent_it(
    pool: ThreadPoolExecutor,
    groups: dict[int, list[HostGroup]],
    data: st.DataObject,
    size: int,
) -> None:
    """Amounts differ from pair to pair, some are nothing, and sums and messages come between."""
    count = st.sampled_from([0, 1, 7, 16384, 16385, 50_001])
    counts = [[data.draw(count) for _ in range(size)] for _ in range(size)]
    sent = [[torch.randn(counts[a][b]) for b in range(size)] for a in range(size)]

    def run(rank: int) -> tuple[list[torch.Tensor], float, torch.Tensor | None]:
        group = groups[size][rank]
        into = [torch.empty(counts[other][rank]) for other in range(size)]
        group.exchange(sent[rank], into)
        total = float(group.sum(torch.ones(3))[0])
        heard = None
        if rank == 0:
            group.start_send(sent[0][1], 1)
        elif rank == 1:
            heard = group.receive(torch.empty(60_000), 0)[: counts[0][1]]
        group.collect(sent[rank][0], 0, [torch.empty(counts[r][0]) for r in range(size)])
        group.exchange(sent[rank], into)
        return into, total, heard

    found = list(pool.map(run, range(size)))
    for rank, (into, total, heard) in enumerate(found):
        assert all(torch.equal(into[a], sent[a][rank]) for a in range(size))
        assert total == size
        if rank == 1:
            assert heard is not None
            assert torch.equal(heard, sent[0][1])


def test_the_leader_alone_collects(
    pool: ThreadPoolExecutor, groups: dict[int, list[HostGroup]]
) -> None:
    whole = torch.randn(3, 40_000)
    into = [torch.empty(40_000) for _ in range(3)]
    list(pool.map(lambda r: groups[3][r].collect(whole[r], 0, into if r == 0 else ()), range(3)))
    assert torch.equal(torch.stack(into), whole)


def test_a_longer_message_than_is_awaited_is_refused(
    pool: ThreadPoolExecutor, tmp_path: Path
) -> None:
    with met(pool, tmp_path, 2) as (near, far):
        near.start_send(torch.zeros(9), 1)
        with pytest.raises(PeerLost, match="36 bytes"):
            far.receive(torch.zeros(8), 0)


def test_whoever_waits_for_a_rank_that_goes_loses_it(
    pool: ThreadPoolExecutor, tmp_path: Path
) -> None:
    with met(pool, tmp_path, 2) as (near, far):
        waiting = pool.submit(near.sum, torch.ones(4))
        far.close()
        with pytest.raises(PeerLost):
            waiting.result(timeout=30)


def test_a_killed_process_is_lost_in_the_middle_of_a_sum(tmp_path: Path) -> None:
    child = multiprocessing.get_context("fork").Process(target=_sum_for_ever, args=(tmp_path,))
    child.start()
    with closing(join(tmp_path, 0, 2)) as group:
        for _ in range(100):
            group.sum(torch.ones(4))
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        with pytest.raises(PeerLost):
            for _ in range(1_000_000):
                group.sum(torch.ones(4))
    child.join()


def _sum_for_ever(folder: Path) -> None:
    group = join(folder, 1, 2)
    while True:
        group.sum(torch.ones(4))


def test_nobody_meets_those_of_another_nonce(pool: ThreadPoolExecutor, tmp_path: Path) -> None:
    waiting = [
        pool.submit(HostMeeting(tmp_path, nonce, 0.3).meet, "stage", rank, 2)
        for rank, nonce in enumerate(("good", "bad"))
    ]
    for end in waiting:
        with pytest.raises(PeerLost):
            end.result(timeout=30)


def test_nothing_is_left_in_the_folder_where_ranks_met(
    pool: ThreadPoolExecutor, tmp_path: Path
) -> None:
    with met(pool, tmp_path, 3):
        assert list(tmp_path.iterdir()) == []


def test_a_path_that_the_system_does_not_take_is_named(tmp_path: Path) -> None:
    with pytest.raises(LaunchError, match="a socket file's path has at most"):
        HostMeeting(tmp_path / ("x" * 100), "nonce", 1.0).meet("stage", 0, 2)
