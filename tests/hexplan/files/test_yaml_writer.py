"""YAML that is written reads back as the same data, whatever the text looks like."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hexplan.files.yaml_reader import MAX_DIGITS, parse_yaml
from hexplan.files.yaml_writer import Row, yaml_text

# What one reader or another takes for a number, a boolean, nothing, or structure.
AMBIGUOUS = [
    *(
        "1e5",
        "1.5e3",
        "+7",
        ".5",
        "0x1F",
        "012",
        "1_000",
        "12:30:45",
        "2026-01-02",
        ".nan",
        "-.Inf",
    ),
    *("true", "NO", "off", "~", "null", "", "<<", "=", "- a", "a: b", "a #b", "#", "[a", "{", "*a"),
    *(
        "&a",
        "!t",
        "%d",
        "@",
        "`",
        "'",
        '"',
        " a ",
        "a\n",
        "\ta",
        "a\n\n b",
        "\x1b[31m",
        "\x85",
        "é",
    ),
]
text = st.sampled_from(AMBIGUOUS) | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
numbers = st.integers(-(10 ** (MAX_DIGITS - 2)), 10 ** (MAX_DIGITS - 2)) | st.floats(
    allow_nan=False, allow_infinity=False
)
values = st.recursive(
    text | numbers | st.booleans() | st.none(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(text.filter(bool), inner, max_size=4)
        | st.dictionaries(text.filter(bool), inner, max_size=4).map(Row)
    ),
    max_leaves=12,
)


@given(st.dictionaries(text.filter(bool), values, min_size=1, max_size=4))
def test_whatever_is_written_reads_back(data: dict[str, object]) -> None:
    assert parse_yaml(yaml_text(data), "file").data == data


@pytest.mark.parametrize("scalar", AMBIGUOUS)
def test_text_that_looks_like_something_else_stays_text(scalar: str) -> None:
    for written in (yaml_text({"a": scalar}), yaml_text({"a": Row({"b": [scalar]})})):
        read = parse_yaml(written, "file").data["a"]
        assert read in (scalar, {"b": [scalar]})


@given(st.decimals("0", "1e9", places=6))
def test_a_decimal_is_written_as_its_exact_digits(number: Decimal) -> None:
    assert yaml_text({"a": number}) == f"a: {number:f}\n"
    assert parse_yaml(yaml_text({"a": number}), "file").data["a"] == float(number)


def test_rows_stand_on_one_line_and_a_value_is_written_each_time_it_occurs() -> None:
    shared = ["1GiB"]
    rows = [Row(name="a", in_use=shared), Row(name="b", in_use=shared)]
    assert yaml_text({"version": 1, "hosts": rows}) == (
        "version: 1\nhosts:\n- {name: a, in_use: [1GiB]}\n- {name: b, in_use: [1GiB]}\n"
    )
