from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hexplan.errors import InputError, SpecError
from hexplan.files.bounded import read_bounded
from hexplan.files.json_reader import MAX_DEPTH, parse_json

BAD = [
    # what the text is, where the error points, and a phrase of it
    ("", "1:1", "not JSON"),
    ("{", "1:2", "not JSON"),
    ("{'a': 1}", "1:2", "not JSON"),
    ('{"a": 1} x', "1:10", "not JSON"),
    ('{"a": 1,\n "b": {"c": 1,\n  "c": 2}}', "3:3", "found the name 'c' twice"),
    ('{"a": 1, "\\u0061": 2}', "1:10", "found the name 'a' twice"),
    ('[{"a": 1}, {"a": 1, "a": 1}]', "1:21", "found the name 'a' twice"),
    ('{"a": "NaN",\n "b": NaN}', "2:7", "found 'NaN', needed a finite number"),
    ("[Infinity]", "1:2", "found 'Infinity'"),
    ("[-Infinity]", "1:2", "found '-Infinity'"),
    ("[1, 1e400]", "1:5", "found '1e400'"),
    ('{"version": 1e999.5}', "1:13", "found '1e999'"),  # Python stops at the first dot
    ("[1e999e9]", "1:2", "found '1e999'"),
    ("[1e999-]", "1:2", "found '1e999'"),
    ("[1,\n " + "9" * 5000 + "]", "2:2", "needed a finite number"),
    ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), f"1:{MAX_DEPTH + 1}", "nested more than"),
    ("[" * 100_000 + "]" * 100_000, f"1:{MAX_DEPTH + 1}", "nested more than"),
    ('{"[[": "\\"]",\n"b": NaN}', "2:6", "found 'NaN'"),
]

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@pytest.mark.parametrize(("text", "position", "phrase"), BAD, ids=range(len(BAD)))
def test_bad_json_is_refused_with_its_position(text: str, position: str, phrase: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_json(text, "some.json")
    assert caught.value.message.startswith(f"some.json:{position}: ")
    assert phrase in caught.value.message


@given(json_values)
def test_good_json_is_read_as_it_is(value: object) -> None:
    assert parse_json(json.dumps(value), "f") == value


def test_the_deepest_nesting_is_still_read() -> None:
    text = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    assert parse_json(text, "f") == json.loads(text)


def test_one_name_in_two_objects_is_fine() -> None:
    assert parse_json('[{"a": 1}, {"a": 2}]', "f") == [{"a": 1}, {"a": 2}]


def test_a_larger_file_than_allowed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "big.json"
    path.write_text('"0123456789"')
    with pytest.raises(InputError, match="larger than 8 bytes"):
        read_bounded(path, 8)
    assert parse_json(read_bounded(path, 12), str(path)) == "0123456789"


@given(st.text(st.sampled_from('[]{}",:\\u0aNIe.-19 \n')))
def test_no_text_raises_anything_but_our_errors(text: str) -> None:
    try:
        value = parse_json(text, "f")
    except InputError as error:
        assert error.message.startswith("f:")
    else:
        assert json.loads(text) == value


@given(st.text(st.sampled_from('[]{,:"a1e9.+-'), max_size=12))
def test_a_huge_number_before_any_text_is_refused_in_words(rest: str) -> None:
    with pytest.raises(SpecError, match="^f:1:"):
        parse_json(f'{{"version": 1e999{rest}}}', "f")
