"""A connection that is measured between two ends in threads of one process, over a real group."""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from hexplan_runtime.net.gloo import LOOPBACK, Group, PeerLost, Rendezvous, host_store, join_store
from hexplan_runtime.probe.connection import (
    FIRST_BYTES,
    LONG_S,
    LONG_TRIPS,
    MOST_BYTES,
    REPEATS,
    Connection,
    Signal,
    bytes_per_s_of,
    control,
    follow,
    lead,
)

WAIT = datetime.timedelta(seconds=30)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as threads:
        yield threads


def meet(pool: ThreadPoolExecutor, addresses: tuple[str, str]) -> list[Group]:
    """Return both ends of a group, each at an address of its own."""
    store, port = host_store(addresses[0])

    def join(rank: int) -> Group:
        joined = join_store(port, WAIT, addresses[0])
        return Rendezvous(joined, "nonce", WAIT, addresses[rank]).meet("line", rank, 2)

    groups = list(pool.map(join, range(2)))
    del store
    return groups


def connections(pool: ThreadPoolExecutor, limit_s: float, *addresses: str) -> list[Connection]:
    groups = meet(pool, (addresses[0], addresses[-1]) if addresses else (LOOPBACK, LOOPBACK))
    deadline_s = time.monotonic() + limit_s
    return [Connection(group, 1 - rank, deadline_s) for rank, group in enumerate(groups)]


@pytest.mark.parametrize("addresses", [(), ("127.0.0.2", "127.0.0.3")])
def test_both_ways_are_measured_and_the_follower_goes(
    pool: ThreadPoolExecutor, addresses: tuple[str, ...]
) -> None:
    leader, follower = connections(pool, 60, *addresses)
    following = pool.submit(follow, follower)
    figures = lead(leader, is_forward=True, is_backward=True)
    following.result(timeout=30)
    assert all(0 < trip_s < 30 for trip_s in figures.round_trips_s)
    assert len(figures.round_trips_s) >= 5
    for rate in (figures.forward_bytes_per_s, figures.backward_bytes_per_s):
        assert rate is not None
        assert rate > 10**6  # even a busy machine copies a megabyte in a second


def test_groups_meet_over_ipv6(pool: ThreadPoolExecutor) -> None:
    try:
        near, far = meet(pool, ("::1", "::1"))
    except OSError:
        pytest.skip("this machine has no IPv6")
    sending = pool.submit(near.send, torch.ones(3), 1)
    assert far.receive(torch.zeros(3), 0).tolist() == [1, 1, 1]
    sending.result(timeout=30)


@pytest.mark.parametrize(("is_forward", "is_backward"), [(True, False), (False, True)])
def test_one_way_alone_is_measured_alone(
    pool: ThreadPoolExecutor, is_forward: bool, is_backward: bool
) -> None:
    leader, follower = connections(pool, 60)
    following = pool.submit(follow, follower)
    figures = lead(leader, is_forward=is_forward, is_backward=is_backward)
    following.result(timeout=30)
    rates = (figures.forward_bytes_per_s, figures.backward_bytes_per_s)
    assert [rate is not None for rate in rates] == [is_forward, is_backward]


def test_a_silent_follower_is_lost_at_the_deadline(pool: ThreadPoolExecutor) -> None:
    leader, _ = connections(pool, 0.5)
    begun_s = time.monotonic()
    with pytest.raises(PeerLost):
        lead(leader, is_forward=True, is_backward=True)
    assert time.monotonic() - begun_s < 20


def test_a_silent_leader_is_lost_at_the_deadline(pool: ThreadPoolExecutor) -> None:
    with pytest.raises(PeerLost):
        follow(connections(pool, 0.5)[1])


@pytest.mark.parametrize(
    ("code", "num_bytes"),
    [
        (Signal.TAKE, MOST_BYTES + 1),  # too much memory
        (Signal.GIVE, -1),  # less than none
        (17, 0),  # unknown
    ],
)
def test_what_no_leader_says_is_not_obeyed(
    pool: ThreadPoolExecutor, code: int, num_bytes: int
) -> None:
    leader, follower = connections(pool, 30)
    following = pool.submit(follow, follower)
    leader.send(control(code, num_bytes))
    with pytest.raises(PeerLost, match="it sent something that no probe sends"):
        following.result(timeout=30)


class Wire:
    """A pretended connection: what is moved takes a round trip and its time at a fixed rate."""

    def __init__(self, bytes_per_s: float, trip_s: float) -> None:
        self.sizes: list[int] = []
        self._bytes_per_s, self._trip_s = bytes_per_s, trip_s

    def __call__(self, connection: Connection, num_bytes: int) -> float:
        self.sizes.append(num_bytes)
        return self._trip_s + num_bytes / self._bytes_per_s


@pytest.mark.parametrize(
    ("bytes_per_s", "trip_s"),
    [
        (1.25e7, 1e-3),  # 100 Mbps nearby
        (1.25e9, 5e-5),  # 10 Gbps in a rack
        (1.25e8, 0.2),  # 1 Gbps around the world: messages must outlast round trips
        (2e4, 0.05),  # so slow that the first message is enough
    ],
)
def test_messages_grow_until_they_tell_the_rate(
    pool: ThreadPoolExecutor, bytes_per_s: float, trip_s: float
) -> None:
    connection, wire = connections(pool, 10**6)[0], Wire(bytes_per_s, trip_s)
    assert bytes_per_s_of(connection, wire, trip_s) == pytest.approx(bytes_per_s, rel=1e-6)
    grown = wire.sizes[: -REPEATS + 1]
    assert grown == [FIRST_BYTES * 2**i for i in range(len(grown))]
    assert wire.sizes[-REPEATS:] == [grown[-1]] * REPEATS
    assert grown[-1] / bytes_per_s < 2 * max(LONG_S, LONG_TRIPS * trip_s) or len(grown) == 1


def test_a_connection_too_fast_for_the_largest_message_is_measured_with_that(
    pool: ThreadPoolExecutor,
) -> None:
    wire = Wire(1e12, 1e-5)
    assert bytes_per_s_of(connections(pool, 10**6)[0], wire, 1e-5) == pytest.approx(1e12, rel=1e-6)
    assert max(wire.sizes) == MOST_BYTES


def test_what_would_not_be_done_by_the_deadline_is_not_begun(pool: ThreadPoolExecutor) -> None:
    wire = Wire(1e9, 1e-5)
    assert bytes_per_s_of(connections(pool, 0)[0], wire, 1e-5) == pytest.approx(1e9, rel=1e-6)
    assert wire.sizes == [FIRST_BYTES]
