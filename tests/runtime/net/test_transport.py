"""Edges and teams between two ends in threads of one process."""

from __future__ import annotations

import datetime
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

import pytest
import torch

from hexplan.errors import HexplanError
from hexplan_runtime.batch import Batch, Row
from hexplan_runtime.net.gloo import Group, PeerLost, Rendezvous, host_store, join_store
from hexplan_runtime.net.team import Team
from hexplan_runtime.net.transport import Receiver, Sender
from hexplan_runtime.net.wire import WireFormat
from hexplan_runtime.request import Sampling
from hexplan_runtime.stage.mailbox import Loss, drain

WIRE_FORMAT = WireFormat(launch=5, hidden=64, dtype=torch.float32)
WAIT_S = datetime.timedelta(seconds=30)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as threads:
        yield threads


def meet(pool: ThreadPoolExecutor, size: int) -> list[Group]:
    """Return the ends of a group, each with its own connection to the store, as ranks have."""
    store, port = host_store()

    def join(rank: int) -> Group:
        return Rendezvous(join_store(port), "nonce", WAIT_S).meet("group", rank, size)

    groups = list(pool.map(join, range(size)))
    del store
    return groups


def activations(request: int, tokens: int) -> Batch:
    row = Row(request, 0, 0, tokens, 9000, Sampling())
    return Batch((row,), hidden=torch.full((tokens, 64), float(request)))


def test_batches_arrive_whole_and_in_order(pool: ThreadPoolExecutor) -> None:
    """Small ones and ones larger than a frame, sent faster than they are taken."""
    near, far = meet(pool, 2)
    sender, arrived = Sender(near, WIRE_FORMAT, 1), SimpleQueue[Batch | Loss]()
    drain(Receiver(far, WIRE_FORMAT, 0), arrived.put)
    sizes = [1, 3000, 2, 1, 500, 1, 1, 4000]
    for request, tokens in enumerate(sizes):
        sender.send(activations(request, tokens))
    for request, tokens in enumerate(sizes):
        batch = arrived.get(timeout=30)
        assert isinstance(batch, Batch)
        assert batch.hidden is not None
        assert torch.equal(batch.hidden, activations(request, tokens).hidden)
        assert batch.rows[0].request == request


def test_a_message_of_another_launch_ends_the_edge(pool: ThreadPoolExecutor) -> None:
    near, far = meet(pool, 2)
    arrived = SimpleQueue[Batch | Loss]()
    drain(Receiver(far, WIRE_FORMAT, 0), arrived.put)
    stranger = Sender(near, WireFormat(6, 64, torch.float32), 1)
    stranger.send(activations(0, 1))
    assert isinstance(arrived.get(timeout=30), HexplanError)


def test_nobody_meets_those_of_another_nonce(pool: ThreadPoolExecutor) -> None:
    store, port = host_store()
    brief = datetime.timedelta(milliseconds=300)

    def join(nonce: str, rank: int) -> Group:
        return Rendezvous(join_store(port), nonce, brief).meet("group", rank, 2)

    waiting = [pool.submit(join, nonce, rank) for rank, nonce in enumerate(("good", "bad"))]
    for end in waiting:
        with pytest.raises(PeerLost):
            end.result(timeout=30)
    del store


def test_the_store_listens_on_the_loopback_interface_only() -> None:
    store, port = host_store()
    listening = [
        address
        for table in ("tcp", "tcp6")
        for address, state in listeners(Path("/proc/net") / table)
        if state == "0A" and address.endswith(f":{port:04X}")
    ]
    assert listening == [f"0100007F:{port:04X}"]  # 127.0.0.1, and nothing in the table of IPv6
    del store


def listeners(table: Path) -> list[tuple[str, str]]:
    lines = table.read_text().splitlines()[1:] if table.exists() else []
    return [(line.split()[1], line.split()[3]) for line in lines]


def test_joining_a_store_that_is_gone_is_a_lost_peer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(PeerLost):
        join_store(port, datetime.timedelta(seconds=1))


@pytest.mark.parametrize("size", [2, 3, 4])
@pytest.mark.parametrize("rows", [1, 2000])  # exchanged at once, and summed by gloo
def test_a_sum_is_the_same_bits_on_every_rank(
    pool: ThreadPoolExecutor, size: int, rows: int
) -> None:
    parts = torch.randn(size, rows, 64, generator=torch.Generator().manual_seed(1))
    groups = meet(pool, size)
    sums = list(pool.map(lambda rank: groups[rank].sum(parts[rank].clone()), range(size)))
    torch.testing.assert_close(sums[0], parts.sum(0), rtol=1e-5, atol=1e-5)
    assert all(torch.equal(found, sums[0]) for found in sums[1:])


def test_a_team_sees_the_batch_of_its_leader(pool: ThreadPoolExecutor) -> None:
    teams = [Team(WIRE_FORMAT, rank, group) for rank, group in enumerate(meet(pool, 3))]
    for batch in (activations(1, 2), activations(2, 3000), Batch(())):
        seen = list(
            pool.map(lambda team: team.share(batch if team.is_leader else None), teams)  # noqa: B023
        )
        assert [found.rows for found in seen] == [batch.rows] * 3
        if batch.hidden is not None:
            assert all(torch.equal(found.hidden, batch.hidden) for found in seen)  # type: ignore[arg-type]


def test_uneven_columns_come_together_on_the_leader(pool: ThreadPoolExecutor) -> None:
    whole = torch.randn(4, 10)
    intervals = ((0, 5), (5, 6), (6, 10))
    teams = [Team(WIRE_FORMAT, rank, group) for rank, group in enumerate(meet(pool, 3))]

    def gather(rank: int) -> torch.Tensor | None:
        first, end = intervals[rank]
        return teams[rank].gather_columns(whole[:, first:end], intervals)

    found = list(pool.map(gather, range(3)))
    assert found[0] is not None
    assert torch.equal(found[0], whole)
    assert found[1:] == [None, None]
