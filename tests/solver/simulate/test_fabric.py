"""Links, NICs and trunks take the time that they should, and hold nobody up without need."""

from __future__ import annotations

import pytest

from hexplan_solver.simulate import EdgeModel, PipelineModel
from hexplan_solver.simulate.fabric import Fabric

SLOW, WIDE = 10.0, 1_000.0
"""Bytes per second."""


def fabric(*bytes_per_s: float, nic_bytes_per_s: float = WIDE, latency_s: float = 0.0) -> Fabric:
    """Links side by side, with tokens of one byte, behind one NIC."""
    edges = tuple(EdgeModel(0, j, b, latency_s, 1, 1.0, (0,)) for j, b in enumerate(bytes_per_s, 1))
    return Fabric(PipelineModel(1, (), edges, (), (nic_bytes_per_s,)))


def test_a_message_takes_as_long_as_on_the_slowest_of_link_and_nic_and_then_the_latency() -> None:
    assert fabric(SLOW, latency_s=0.5).send(0, 20, now_s=1.0) == pytest.approx(1.0 + 2.0 + 0.5)
    narrow = fabric(WIDE, nic_bytes_per_s=SLOW, latency_s=0.5)
    assert narrow.send(0, 20, now_s=1.0) == pytest.approx(1.0 + 2.0 + 0.5)


def test_messages_of_one_link_follow_one_another() -> None:
    links = fabric(SLOW)
    assert [links.send(0, 10, now_s) for now_s in (0.0, 0.5, 5.0)] == pytest.approx([1.0, 2.0, 6.0])


def test_what_waits_for_a_slow_link_holds_nobody_up_at_the_nic() -> None:
    links = fabric(SLOW, WIDE)
    for _ in range(5):
        links.send(0, 10, now_s=0.0)
    assert links.send(1, 10, now_s=0.0) == pytest.approx(60 / WIDE)


def test_a_nic_carries_no_more_than_it_can_however_many_links_it_has() -> None:
    links = fabric(SLOW, SLOW, SLOW, SLOW, nic_bytes_per_s=2 * SLOW)
    arrivals_s = [links.send(j, 10, now_s=0.0) for _ in range(25) for j in range(4)]
    assert arrivals_s == sorted(arrivals_s)
    assert arrivals_s[-1] == pytest.approx(1_000 / (2 * SLOW))
