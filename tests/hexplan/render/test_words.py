"""Numbers, names and constraints in words."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hexplan.plan import CutTerm
from hexplan.render import words


@given(st.text())
def test_printable_text_holds_no_control_characters_and_loses_nothing_else(text: str) -> None:
    shown = words.printable(text)
    assert all(c.isprintable() or c in "\n\t" for c in shown)
    assert text.isprintable() <= (shown == text)


@pytest.mark.parametrize(
    ("tokens_per_s", "text"),
    [(0, "0.000"), (1.2674, "1.267"), (10, "10.0"), (12345.67, "12,345.7")],
)
def test_a_rate_has_the_decimals_that_its_size_deserves(tokens_per_s: float, text: str) -> None:
    assert words.rate(tokens_per_s) == text


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 stages"), (1, "1 stage"), (2, "2 stages"), (1200, "1,200 stages")]
)
def test_a_noun_follows_its_number(number: int, text: str) -> None:
    assert words.count(number, "stage") == text


@pytest.mark.parametrize(
    ("count_bytes", "text"),
    [(512, "512 B"), (1024, "1.0 KiB"), (80 * 2**30, "80.0 GiB"), (2**60, "1024.0 PiB")],
)
def test_sizes_are_in_binary_units(count_bytes: int, text: str) -> None:
    assert words.size(count_bytes) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.0, "0 %"),
        (1e-9, "0.0001 %"),  # never rounds to nothing
        (0.00123, "0.123 %"),
        (0.0200001, "2.1 %"),  # rounds up
        (1.0, "100 %"),
        (9.5, "950 %"),
        (11.7, "up to 13 times"),
        (10313.68, "up to 10,315 times"),
        (1e30, "more than a million times"),
    ],
)
def test_a_gap_is_never_made_smaller(share: float, text: str) -> None:
    assert words.gap(share) == text


@given(st.floats(min_value=0, max_value=10, exclude_max=True))
def test_a_gap_in_words_is_at_least_the_gap(share: float) -> None:
    assert Decimal(words.gap(share).removesuffix(" %")) >= Decimal(share) * 100


@pytest.mark.parametrize(
    ("numbers", "text"),
    [((0,), "0"), ((0, 1, 2), "0-2"), ((2, 0), "0,2"), ((0, 1, 3, 5, 6), "0-1,3,5-6")],
)
def test_device_indices_are_written_in_runs(numbers: tuple[int, ...], text: str) -> None:
    assert words.indices(numbers) == text


@given(st.sets(st.integers(0, 40), min_size=1))
def test_device_indices_can_be_read_back(numbers: set[int]) -> None:
    read: set[int] = set()
    for run in words.indices(numbers).split(","):
        first, _, last = run.partition("-")
        read |= set(range(int(first), int(last or first) + 1))
    assert read == numbers


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.1234, "0.12 s"), (42.4, "42 s"), (150, "2 min 30 s"), (119.9, "120 s")],
)
def test_durations_lose_detail_as_they_grow(seconds: float, text: str) -> None:
    assert words.duration(seconds) == text


@pytest.mark.parametrize(
    ("constraint", "price", "capacity", "text"),
    [
        ("link:s1>s2", "1", "100", "the link from s1 to s2: 100.0 tokens/s"),
        (
            "stage:s9",
            "0.5",
            "3",
            "stage s9: 3.000 tokens/s (1 token/s more brings 0.5)",
        ),
        (
            "nic-out:a",
            "0.001",
            "125e6",
            "what the NIC of a sends: 125.0 MB/s (1 MB/s more brings 1,000.0 tokens/s)",
        ),
        (
            "nic-in:a",
            "0.001",
            "125e6",
            "what the NIC of a receives: 125.0 MB/s (1 MB/s more brings 1,000.0 tokens/s)",
        ),
        ("odd", "1", "1", "odd: 1 B/s (1 MB/s more brings 1,000,000.0 tokens/s)"),
    ],
)
def test_each_capacity_of_a_cut_has_its_words(
    constraint: str, price: str, capacity: str, text: str
) -> None:
    term = CutTerm(constraint=constraint, price=Decimal(price), capacity=Decimal(capacity))
    assert words.constraint(term, {}) == text


def test_short_times_keep_three_digits_in_the_unit_that_suits_them() -> None:
    told = [words.brief(seconds) for seconds in (12.345, 0.03014, 0.0000478, 2e-9)]
    assert told == ["12.3 s", "30.1 ms", "47.8 us", "0.002 us"]


def test_bit_rates_are_those_of_network_cards() -> None:
    told = [words.bit_rate(rate) for rate in (125_000_000, 3_125_000_000, 1000)]
    assert told == ["1 Gbps", "25 Gbps", "8 kbps"]


def test_a_ratio_is_told_as_a_factor() -> None:
    assert [words.times(ratio) for ratio in (0.256, 2.5, 12.4)] == ["0.26x", "2.50x", "12x"]


@given(st.floats(min_value=10, max_value=999_999))
def test_a_large_gap_is_a_factor_that_is_large_enough(share: float) -> None:
    factor = words.gap(share).removeprefix("up to ").removesuffix(" times").replace(",", "")
    assert Decimal(share) + 1 <= Decimal(factor) < Decimal(share) + 2
