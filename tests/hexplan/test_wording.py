from __future__ import annotations

import pytest

from hexplan.wording import close_names, did_you_mean, found, join_or, path_text


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "nothing"),
        (True, "true"),
        (25, "25"),
        (0.5, "0.5"),
        ("25", "'25'"),
        ("\x1b[31m\ud800", "'\\x1b[31m\\ud800'"),  # nothing that a terminal would act on
        ({"a": 1}, "a mapping"),
        ([1], "a list"),
        ("x" * 100, "'" + "x" * 59 + "..."),
    ],
)
def test_what_was_found_is_told_in_a_few_printable_words(value: object, words: str) -> None:
    assert found(value) == words


def test_a_path_reads_as_people_write_it() -> None:
    assert path_text(("hosts", 0, "devices", 1)) == "hosts[0].devices[1]"
    assert path_text(()) == ""


def test_close_names_come_best_first_whatever_their_case() -> None:
    assert close_names("nvlnk", ["pcie4", "NVLink2", "nvlink"]) == ("nvlink", "NVLink2")
    assert close_names("x", ["pcie4"]) == ()


def test_a_hint_names_close_names_or_all_of_a_few() -> None:
    assert did_you_mean("hots", ["hosts", "links"]) == "did you mean `hosts`?"
    assert did_you_mean("zzz", ["hosts", "links"]) == "known here: hosts, links"
    assert did_you_mean("zzz", [f"name{n}" for n in range(99)]) is None
    assert did_you_mean("zzz", []) is None


def test_alternatives_are_joined_with_or() -> None:
    assert join_or(["a"]) == "`a`"
    assert join_or(["a", "b", "c"]) == "`a`, `b` or `c`"
