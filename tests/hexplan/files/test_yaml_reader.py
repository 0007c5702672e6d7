from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hexplan.errors import HexplanError, SpecError
from hexplan.files.yaml_events import fast_events, plain_events
from hexplan.files.yaml_reader import (
    MAX_ALIASES,
    MAX_BYTES,
    MAX_DEPTH,
    MAX_REPEATED,
    parse_yaml,
    read_yaml,
)

LEAVES = st.none() | st.booleans() | st.integers() | st.text()


def _nested(inner: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.lists(inner, max_size=4) | st.dictionaries(st.text(min_size=1), inner, max_size=4)


SCALARS = [
    # YAML 1.1 traps that YAML 1.2 has removed
    ("NO", "NO"),
    ("yes", "yes"),
    ("off", "off"),
    ("12:30:45", "12:30:45"),
    ("2026-01-02", "2026-01-02"),
    ("0x1F", "0x1F"),
    ("0o17", "0o17"),
    ("012", 12),
    ("1_000", "1_000"),
    ("<<", "<<"),
    # the core scalars
    ("true", True),
    ("False", False),
    ("null", None),
    ("~", None),
    ("", None),
    ("-7", -7),
    ("+7", 7),
    ("1.5", 1.5),
    (".5", 0.5),
    ("1e3", 1000.0),
    ("1.", 1.0),
    # quotes make text
    ("'7'", "7"),
    ('"true"', "true"),
    ("''", ""),
    # text
    ("25Gbps", "25Gbps"),
    ("1.2.3", "1.2.3"),
    ("nan", "nan"),
]

BAD = [
    # what the text is, the line that the error names, and a phrase of it
    ("", 1, "the file is empty"),
    ("# only a comment\n", 1, "the file is empty"),
    ("- a\n- b\n", 1, "found a list, needed a mapping"),
    ("just text\n", 1, "found 'just text', needed a mapping"),
    ("a: 1\nb: 2\na: 3\n", 3, "'a' again, first at line 1"),
    ("a: {b: 1, 'b': 2}\n", 1, "'b' again, first at line 1"),
    ("1: x\n'1': y\n", 2, "'1' again, first at line 1"),
    ("a: 1\n---\nb: 2\n", 2, "found another document"),
    ("a: 1\nb: !!python/object:os.system x\n", 2, "found the tag"),
    ("a: !!str 5\n", 1, "found the tag"),
    ("a: ! 5\n", 1, "found the tag"),
    ("!!map {a: 1}\n", 1, "found the tag"),
    ("a: 1\nb: .nan\n", 2, "found '.nan', needed a finite number"),
    ("a: -.inf\n", 1, "needed a finite number"),
    ("a: 1e400\n", 1, "found '1e400', needed a finite number"),
    ("a: " + "9" * 5000 + "\n", 1, "at most 18 digits"),
    ("a: 1\n\tb: 2\n", 2, "cannot start any token"),
    ("a: b: c\n", 1, "mapping values are not allowed here"),
    ("a: [1, 2\nb: 3\n", 2, "expected ',' or ']'"),
    ('a: "x\n', 2, "found unexpected end of stream"),
    ("a: *nothing\n", 1, "undefined alias"),
    ("a: &x [*x]\n", 1, "alias to itself"),
    ("a: &x 1\nb: &x 2\nc: [" + "*x, " * (MAX_ALIASES + 1) + "]\n", 2, "second occurrence"),
    ("a: &x 1\nb:\n" + "- *x\n" * (MAX_ALIASES + 1), MAX_ALIASES + 3, "aliases"),
    ("a: " + "[" * MAX_DEPTH + "]" * MAX_DEPTH + "\n", 1, f"nested more than {MAX_DEPTH} deep"),
    ("a: " + "[" * 100_000, 1, f"nested more than {MAX_DEPTH} deep"),
    ("? [a]\n: b\n", 1, "needed a name before the colon"),
    ("'': b\n", 1, "needed a name before the colon"),
    (": b\n", 1, "but found ':'"),
    ("\ufeffa: 1\n", 1, "byte order mark"),
    ("a: 1\nb: x\0y\n", 2, "'\\x00', needed printable text"),
    ('a: "\\ud800"\n', 1, "needed Unicode text"),
    ("a: 1\nb: @x\n", 2, "cannot start any token"),
]


@pytest.mark.parametrize(("text", "value"), SCALARS)
def test_a_scalar_means_what_yaml_1_2_says(text: str, value: object) -> None:
    data = parse_yaml(f"a: {text}\n", "f").data
    assert data == {"a": value}
    assert type(data["a"]) is type(value)


@pytest.mark.parametrize(("text", "line", "phrase"), BAD, ids=range(len(BAD)))
def test_bad_yaml_is_refused_with_its_line(text: str, line: int, phrase: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_yaml(text, "some.yaml")
    assert caught.value.where == f"some.yaml:{line}"
    assert phrase in caught.value.problem


@pytest.mark.parametrize("text", ['a: "\\UFFFFFFFF"\n', "%YAML " + "9" * 5000 + ".1\n---\na: 1\n"])
def test_what_pyyaml_stumbles_over_is_refused(text: str) -> None:
    with pytest.raises(HexplanError, match=r"some\.yaml: not YAML"):
        parse_yaml(text, "some.yaml")


def test_an_alias_bomb_is_refused_before_it_grows() -> None:
    levels = [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 10)]
    with pytest.raises(SpecError, match="found more than"):
        parse_yaml("\n".join(["l0: &l0 [x]", *levels]), "bomb.yaml")


def test_a_few_aliases_are_plain_reuse() -> None:
    data = parse_yaml("a: &x {b: 1}\nc: *x\nd: *x\n", "f").data
    assert data == {"a": {"b": 1}, "c": {"b": 1}, "d": {"b": 1}}


def test_the_deepest_nesting_is_still_read() -> None:
    text = "a: " + "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1)
    assert set(parse_yaml(text, "f").data) == {"a"}


def test_each_field_and_entry_has_its_line() -> None:
    document = parse_yaml("a: 1\nb:\n  c: [x,\n    y]\n  d:\n    - e: 2\n    - 3\n", "f")
    assert document.lines == {
        (): 1,
        ("a",): 1,
        ("b",): 2,
        ("b", "c"): 3,
        ("b", "c", 0): 3,
        ("b", "c", 1): 4,
        ("b", "d"): 5,
        ("b", "d", 0): 6,
        ("b", "d", 0, "e"): 6,
        ("b", "d", 1): 7,
    }


def test_windows_line_ends_are_read() -> None:
    document = parse_yaml("a: 1\r\nb: 2\r\n", "f")
    assert document.data == {"a": 1, "b": 2}
    assert document.lines["b",] == 2


def test_keys_are_always_text() -> None:
    assert parse_yaml("4090: a\nNO: b\ntrue: c\n", "f").data == {
        "4090": "a",
        "NO": "b",
        "true": "c",
    }


def test_a_file_that_is_not_utf_8_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes(b"a: 1\nname: K\xf6ln\n")
    with pytest.raises(SpecError) as caught:
        read_yaml(path)
    assert caught.value.where == f"{path}:2"
    assert "0xf6" in caught.value.problem


def test_a_file_above_the_limit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "big.yaml"
    path.write_text("#" * MAX_BYTES + "\n")
    with pytest.raises(HexplanError, match=f"larger than {MAX_BYTES} bytes"):
        read_yaml(path)


def test_more_values_than_the_limit_are_refused_at_the_first_of_them() -> None:
    text = "a:\n" + "- 1\n" * 8
    assert parse_yaml(text, "f", max_values=10).data == {"a": [1] * 8}
    with pytest.raises(SpecError, match="more than 9 values") as caught:
        parse_yaml(text, "f", max_values=9)
    assert caught.value.where == "f:9"


def test_aliases_may_not_repeat_a_large_value_many_times() -> None:
    text = "a: &x [" + "1, " * (MAX_REPEATED // 10) + "]\nb: ["
    parse_yaml(text + "*x, " * 9 + "]\n", "f")
    with pytest.raises(SpecError, match=f"more than {MAX_REPEATED} values by aliases"):
        parse_yaml(text + "*x, " * 10 + "]\n", "f")


@pytest.mark.skipif(not yaml.__with_libyaml__, reason="needs PyYAML with libyaml")
@pytest.mark.parametrize("path", sorted(Path("cluster_specs").rglob("*.yaml")), ids=str)
def test_both_parsers_find_the_same_events_at_the_same_lines(path: Path) -> None:
    text = path.read_text()
    fast, plain = list(fast_events(text)), list(plain_events(text, "f"))
    assert list(map(_told, fast)) == list(map(_told, plain))


def _told(event: yaml.Event) -> tuple[object, ...]:
    """Return what a reader makes of an event."""
    fields = (getattr(event, name, None) for name in ("value", "anchor", "tag"))
    is_quoted = bool(getattr(event, "style", None))
    starts = not isinstance(event, yaml.StreamEndEvent | yaml.DocumentEndEvent)
    return type(event), is_quoted, event.start_mark.line if starts else None, *fields


@pytest.mark.skipif(not yaml.__with_libyaml__, reason="needs PyYAML with libyaml")
@given(st.dictionaries(st.text(min_size=1), st.recursive(LEAVES, _nested, max_leaves=20)))
def test_both_parsers_read_what_pyyaml_writes(data: dict[str, object]) -> None:
    text = yaml.safe_dump(data, allow_unicode=True, default_flow_style=None)
    assert list(map(_told, fast_events(text))) == list(map(_told, plain_events(text, "f")))


@given(st.text(st.sampled_from("ab:- \n[]{},\"'&*!|>#%@?\\x0U\t9.e")))
def test_no_text_raises_anything_but_our_errors(text: str) -> None:
    try:
        document = parse_yaml(text, "f")
    except HexplanError as error:
        assert error.exit_code == 2
    else:
        assert set(document.data) == {path[0] for path in document.lines if path}
