"""Water-filling against its definition."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from hexplan_solver.baselines.waterfill import water_fill

machines = st.lists(st.tuples(st.integers(1, 500), st.integers(1, 30)), min_size=1, max_size=8)


def level_of(total: int, powers: list[Fraction], rooms: list[int]) -> Fraction:
    """The level by definition: where the shares sum to the total, found between two corners."""
    corners = sorted({Fraction(room) / power for room, power in zip(rooms, powers, strict=True)})

    def filled(level: Fraction) -> Fraction:
        return sum((min(r, level * p) for r, p in zip(rooms, powers, strict=True)), Fraction(0))

    high = next(level for level in corners if filled(level) >= total)
    low = max([Fraction(0), *(level for level in corners if level < high)])
    return low + (total - filled(low)) * (high - low) / (filled(high) - filled(low))


@given(machines=machines, total=st.integers(1, 120))
def test_shares_are_the_level_times_the_power_rounded(
    machines: list[tuple[int, int]], total: int
) -> None:
    powers, rooms = [Fraction(p) for p, _ in machines], [room for _, room in machines]
    counts = water_fill(total, powers, rooms)
    if sum(rooms) < total:
        assert counts is None
        return
    assert counts is not None
    assert sum(counts) == total
    level = level_of(total, powers, rooms)
    for count, power, room in zip(counts, powers, rooms, strict=True):
        assert 0 <= count <= room
        assert abs(count - min(Fraction(room), level * power)) < 1


def test_equal_machines_share_equally_and_the_first_take_the_rest() -> None:
    assert water_fill(11, [Fraction(1)] * 4, [80] * 4) == [3, 3, 3, 2]
