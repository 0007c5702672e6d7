from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hexplan.errors import InputError
from hexplan.units import (
    BANDWIDTH,
    BYTES,
    COMPUTE,
    DIGITS,
    RATE,
    TIME,
    Quantity,
    QuantityError,
    parse_bandwidth,
    parse_bytes,
    parse_compute,
    parse_fraction,
    parse_rate,
    parse_seconds,
)

Parser = Callable[[object], int | float | Decimal]

EXAMPLES: list[tuple[Parser, object, object]] = [
    (parse_bytes, "24GiB", 24 * 2**30),
    (parse_bytes, "24GB", 24 * 10**9),
    (parse_bytes, "80 GB", 80 * 10**9),
    (parse_bytes, "1.5KiB", 1536),
    (parse_bytes, "+1e3B", 1000),
    (parse_bytes, "1.9B", 1),  # whole bytes, rounded down
    (parse_bytes, ".5kB", 500),
    (parse_bandwidth, "25Gbps", 3_125_000_000),
    (parse_bandwidth, "25Gb/s", 3_125_000_000),
    (parse_bandwidth, "25 Gbit/s", 3_125_000_000),
    (parse_bandwidth, "3.2GB/s", 3_200_000_000),
    (parse_bandwidth, "1MiB/s", 2**20),
    (parse_bandwidth, "9bps", 1),  # 9/8 bytes/s, rounded down
    (parse_seconds, "3ms", Decimal("0.003")),
    (parse_seconds, "0.2ms", Decimal("0.0002")),
    (parse_seconds, "2s", Decimal(2)),
    (parse_seconds, "8us", Decimal("0.000008")),
    (parse_seconds, "8\N{MICRO SIGN}s", Decimal("0.000008")),
    (parse_seconds, "8\N{GREEK SMALL LETTER MU}s", Decimal("0.000008")),
    (parse_seconds, "1.5min", Decimal(90)),
    (parse_seconds, "0s", Decimal(0)),
    (parse_rate, "5/s", 5.0),
    (parse_rate, "300/min", 5.0),
    (parse_rate, "18000/h", 5.0),
    (parse_compute, "70 TFLOP/s", 70 * 10**12),
    (parse_compute, "500GFLOP/s", 500 * 10**9),
    (parse_compute, "989.4 TFLOPS", 989_400_000_000_000),
    (parse_fraction, "99%", Decimal("0.99")),
    (parse_fraction, "0.9", Decimal("0.9")),
    (parse_fraction, 0.9, Decimal("0.9")),
    (parse_fraction, 1, Decimal(1)),
]

REFUSED: list[tuple[Parser, object, str]] = [
    (parse_bandwidth, 25, "found 25, needed a bandwidth with its unit"),
    (parse_bandwidth, "25", "found '25', needed a bandwidth with its unit"),
    (parse_bandwidth, "25 gbps", "`gbps` is not a known unit"),
    (parse_bandwidth, "25GBps", "`GBps` is not a known unit"),  # bits or bytes? nobody knows
    (parse_bandwidth, "25G", "`G` is not a known unit"),
    (parse_bandwidth, "25GB", "`GB` is an amount of memory"),
    (parse_bandwidth, "25Gb", "`Gb` is not a known unit"),
    (parse_bandwidth, "0Gbps", "needed a bandwidth > 0"),
    (parse_bandwidth, "-1Gbps", "needed a bandwidth > 0"),
    (parse_bandwidth, "1bps", "at least 1 in SI units"),  # an eighth of a byte per second
    (parse_bandwidth, "nan", "found 'nan', needed a bandwidth"),
    (parse_bandwidth, "inf Gbps", "found 'inf Gbps', needed a bandwidth"),
    (parse_bandwidth, float("nan"), "needed a bandwidth with its unit"),
    (parse_bandwidth, None, "found nothing, needed a bandwidth"),
    (parse_bandwidth, True, "found true, needed a bandwidth"),
    (parse_bandwidth, ["25Gbps"], "found a list, needed a bandwidth"),
    (parse_bandwidth, {}, "found a mapping, needed a bandwidth"),
    (parse_bandwidth, "", "found '', needed a bandwidth"),
    (parse_bandwidth, "1,000Gbps", "`,000Gbps` is not a known unit"),
    (parse_bandwidth, "25\nGbps", "needed a bandwidth"),
    (parse_bandwidth, "\N{ARABIC-INDIC DIGIT FIVE}Gbps", "needed a bandwidth"),
    (parse_bandwidth, "1e99Gbps", "at most 1e+21"),
    (parse_bytes, "24Gb", "`Gb` counts bits"),
    (parse_bytes, "24gb", "`gb` counts bits"),
    (parse_bytes, "24KB", "`KB` is not a known unit"),  # 1000 or 1024? nobody knows
    (parse_bytes, "24GB/s", "`GB/s` is a bandwidth"),
    (parse_bytes, "1.0000000000000001GB", "at most 15 digits"),
    (parse_bytes, "0." + "0" * 60 + "1GB", "at most 15 digits"),
    (parse_seconds, "3", "a time with its unit"),
    (parse_seconds, "-3ms", "needed a time >= 0"),
    (parse_seconds, "3 sec", "`sec` is not a known unit"),
    (parse_seconds, "3m", "`m` is not a known unit"),  # minutes, months, metres?
    (parse_rate, "5", "a rate with its unit"),
    (parse_rate, "0/s", "needed a rate > 0"),
    (parse_rate, "5 req/s", "`req/s` is not a known unit"),
    (parse_compute, "70 TFLOP", "`TFLOP` is not a known unit"),
    (parse_compute, "70 TB/s", "`TB/s` is a bandwidth"),
    (parse_fraction, 90, "found 90, needed a share above 0 and at most 1"),
    (parse_fraction, 0, "found 0, needed a share above 0"),
    (parse_fraction, "101%", "needed a share above 0 and at most 1"),
    (parse_fraction, True, "found true, needed a share"),
    (parse_fraction, None, "found nothing, needed a share"),
    (parse_fraction, float("nan"), "found nan, needed a share"),
    (parse_fraction, "-1%", "needed a share"),
    (parse_fraction, "0." + "9" * 16, "at most 15 digits"),
]


@pytest.mark.parametrize(("parse", "text", "value"), EXAMPLES)
def test_a_quantity_is_read_exactly(parse: Parser, text: object, value: object) -> None:
    assert parse(text) == value


@pytest.mark.parametrize(("parse", "text", "phrase"), REFUSED)
def test_what_is_not_the_quantity_is_refused_in_words(
    parse: Parser, text: object, phrase: str
) -> None:
    with pytest.raises(QuantityError) as caught:
        parse(text)
    assert phrase in caught.value.message
    assert isinstance(caught.value, InputError)


@pytest.mark.parametrize(
    ("parse", "text", "phrase"),
    [
        (parse_bandwidth, 25, "`25Gbps` for bits or `3.1GB/s` for bytes"),
        (parse_bandwidth, "25gbps", "`25Gbps` for bits or `3.1GB/s` for bytes"),
        (parse_bytes, "24G", "`80GB` (10^9 bytes) or `80GiB` (2^30 bytes)"),
        (parse_seconds, 3, "`3ms` or `30s`"),
        (parse_rate, 5, "`5/s`"),
        (parse_compute, 70, "`312 TFLOP/s`"),
        (parse_fraction, 90, "`90%` or `0.9`"),
    ],
)
def test_a_wrong_unit_comes_with_a_hint_of_right_ones(
    parse: Parser, text: object, phrase: str
) -> None:
    with pytest.raises(QuantityError) as caught:
        parse(text)
    assert caught.value.hint is not None
    assert phrase in caught.value.hint


def quantities(quantity: Quantity) -> st.SearchStrategy[tuple[str, Fraction]]:
    """Texts of a quantity of up to 15 digits, with their exact values in SI units."""
    return st.builds(
        lambda digits, exponent, space, unit: (
            f"{Decimal(digits).scaleb(-exponent):f}{space}{unit}",
            Fraction(digits, 10**exponent) * Fraction(quantity.scales[unit]),
        ),
        st.integers(1, 10**DIGITS - 1),
        st.integers(0, 12),
        st.sampled_from(["", " "]),
        st.sampled_from(sorted(quantity.scales)),
    )


@pytest.mark.parametrize(
    ("parse", "quantity"),
    [(parse_bytes, BYTES), (parse_bandwidth, BANDWIDTH), (parse_compute, COMPUTE)],
    ids=["bytes", "bandwidth", "compute"],
)
@given(data=st.data())
def test_every_amount_is_exact_or_too_small_or_too_large(
    parse: Parser, quantity: Quantity, data: st.DataObject
) -> None:
    text, value = data.draw(quantities(quantity))
    try:
        assert parse(text) == value.numerator // value.denominator
    except QuantityError:
        assert value < 1 or value > 10**21


@given(quantities(TIME))
def test_every_time_is_right_to_fifteen_digits(pair: tuple[str, Fraction]) -> None:
    text, value = pair
    if value <= 10**21:
        seconds = parse_seconds(text)
        assert abs(Fraction(seconds) - value) <= value / 10**14
        assert Decimal(repr(float(seconds))) == seconds


@given(quantities(RATE))
def test_every_rate_is_right_to_double_precision(pair: tuple[str, Fraction]) -> None:
    text, value = pair
    assert parse_rate(text) == pytest.approx(float(value), rel=1e-14)


@given(st.integers(1, 10**12).map(lambda digits: Decimal(digits).scaleb(-12)))
def test_a_share_means_the_same_in_percent(share: Decimal) -> None:
    assert parse_fraction(f"{share:f}") == share
    assert parse_fraction(f"{share * 100:f}%") == share


@given(st.text(max_size=30) | st.from_regex(r"[0-9.eE+-]{1,12} ?[a-zA-Z/%]{0,6}", fullmatch=True))
def test_no_text_raises_anything_but_a_quantity_error(text: str) -> None:
    parsers = (parse_bytes, parse_bandwidth, parse_seconds, parse_rate, parse_compute)
    for parse in (*parsers, parse_fraction):
        try:
            assert parse(text) >= 0
        except QuantityError as error:
            assert "found" in error.message
