"""Ways to group a host's devices."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from hexplan_solver.problem.params import PROBLEM_PARAMS
from hexplan_solver.problem.partitions import partitions


def test_like_devices_are_split_once_for_each_sum() -> None:
    assert len(partitions(["a"] * 4)) == 5
    assert len(partitions(["a"] * 8)) == 22


def test_unlike_devices_are_also_grouped_together() -> None:
    assert set(partitions(["a", "b"])) == {(("a",), ("b",)), (("a", "b"),)}


def test_a_fixed_group_stands_in_every_partition() -> None:
    ways = partitions(["a", "a"], fixed=[("a", "b")])
    assert ways
    assert all(("a", "b") in way for way in ways)


@given(st.lists(st.sampled_from("abc"), max_size=6))
def test_every_partition_uses_every_device_once(devices: list[str]) -> None:
    ways = partitions(devices)
    assert len(set(ways)) == len(ways)
    for way in ways:
        assert Counter(name for group in way for name in group) == Counter(devices)


def test_many_mixed_devices_are_grouped_by_type_alone() -> None:
    devices = ["a"] * 5 + ["b"] * 5 + ["c"] * 5
    ways = partitions(devices)
    assert 0 < len(ways) <= PROBLEM_PARAMS.max_partitions
    assert all(len(set(group)) == 1 for way in ways for group in way)
    assert all(sum(len(group) for group in way) == 15 for way in ways)
