"""Every form of a verdict says the same, and is what its readers expect."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from urllib.parse import unquote

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from junitparser import JUnitXml

from hexplan.check import ALL_RULES, RULES, Violation
from hexplan.report import FORMS, Finding, Form, Place, Verdict, verdicts_as

SCHEMA = json.loads(
    gzip.decompress((Path(__file__).parents[2] / "data/sarif-schema-2.1.0.json.gz").read_bytes())
)
ESCAPE = "\x1b"


def verdict_on(*findings: Finding) -> Verdict:
    return Verdict(ALL_RULES, findings, "plans/my plan.json", has_spec=True)


def finding(rule: str = "HEX301", message: str = "too much", file: str = "a.yaml") -> Finding:
    name = next(one.name for one in ALL_RULES if one.id == rule)
    return Finding(Violation(rule, name, "stage s0", message), Place(file, 7))


def written(form: Form, *findings: Finding) -> str:
    return verdicts_as(form, [verdict_on(*findings)])


FINDINGS = st.lists(
    st.builds(finding, st.sampled_from([r.id for r in ALL_RULES]), st.text(), st.text(min_size=1)),
    max_size=4,
)


@given(FINDINGS)
def test_sarif_keeps_to_the_published_schema(findings: list[Finding]) -> None:
    log = json.loads(written("sarif", *findings))
    jsonschema.Draft4Validator(SCHEMA).validate(log)
    (run,) = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert [rules[one["ruleIndex"]]["id"] for one in run["results"]] == [
        one.violation.rule for one in findings
    ]
    files = [
        one["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for one in run["results"]
    ]
    assert [unquote(file) for file in files] == [one.place.file for one in findings]


@given(FINDINGS)
def test_junit_counts_each_rule_that_is_broken_once(findings: list[Finding]) -> None:
    suites = JUnitXml.fromstring(written("junit", *findings))
    broken = {one.violation.rule for one in findings}
    (suite,) = suites
    assert (suite.tests, suite.failures) == (len(ALL_RULES), len(broken))
    assert {case.name.split()[0] for case in suite if case.result} == broken


@given(FINDINGS)
def test_github_gets_one_command_a_line_whatever_the_message(findings: list[Finding]) -> None:
    lines = written("github", *findings).split("\n")[:-1]
    if not findings:
        assert lines == [f"'plans/my plan.json': {len(ALL_RULES)} rules hold"]
        return
    assert len(lines) == len(findings)
    for line, one in zip(lines, findings, strict=True):
        level = "warning" if one.violation.rule.startswith("HEX0") else "error"
        command, properties, message = _parsed(line)
        assert command == level
        assert properties["file"] == one.place.file
        assert properties["line"] == "7"
        assert message == f"stage s0: {one.violation.message}"


def _parsed(line: str) -> tuple[str, dict[str, str], str]:
    """Read a command as GitHub's runner does (actions/runner, ActionCommand.cs)."""
    head, _, message = line.removeprefix("::").partition("::")
    command, _, listed = head.partition(" ")
    pairs = (part.partition("=") for part in listed.split(","))
    properties = {key: _unescaped(text) for key, _, text in pairs}
    return command, properties, _unescaped(message)


def _unescaped(text: str) -> str:
    for escaped, plain in (("%2C", ","), ("%3A", ":"), ("%0A", "\n"), ("%0D", "\r"), ("%25", "%")):
        text = text.replace(escaped, plain)
    return text


def test_text_names_places_and_escapes_what_acts_on_a_terminal() -> None:
    found = finding(message=f"too much{ESCAPE}[2J")
    expected = "a.yaml:7: HEX301 memory-overflow: stage s0: too much\\x1b[2J\n"
    assert written("text", found) == expected
    no_spec = Verdict(RULES, (found,), "plan.json")
    assert verdicts_as("text", [no_spec]) == expected.removeprefix("a.yaml:7: ")


def test_json_can_be_read_back() -> None:
    answer = json.loads(written("json", finding()))
    assert answer == {
        "plan": "plans/my plan.json",
        "ok": False,
        "rules": len(ALL_RULES),
        "violations": [
            {
                "rule": "HEX301",
                "name": "memory-overflow",
                "where": "stage s0",
                "message": "too much",
                "file": "a.yaml",
                "line": 7,
            }
        ],
    }


@pytest.mark.parametrize("form", FORMS)
def test_every_form_tells_success_from_failure(form: Form) -> None:
    found = finding(message="9 > 8")
    good, bad = (written(form, *findings) for findings in ((), (found,)))
    told = "9 &gt; 8" if form == "junit" else "9 > 8"
    assert told not in good
    assert told in bad


def test_several_plans_are_told_apart_in_every_form() -> None:
    pair = [Verdict(RULES, (), "a.json"), Verdict(RULES, (finding(),), "b.json")]
    count = len(RULES)
    assert verdicts_as("text", pair).splitlines() == [
        f"a.json: ok: {count} rules hold",
        "b.json: HEX301 memory-overflow: stage s0: too much",
    ]
    assert [one["ok"] for one in json.loads(verdicts_as("json", pair))] == [True, False]
    log = json.loads(verdicts_as("sarif", pair))
    jsonschema.Draft4Validator(SCHEMA).validate(log)
    assert [len(run["results"]) for run in log["runs"]] == [0, 1]
    suites = JUnitXml.fromstring(verdicts_as("junit", pair))
    assert [(suite.name, suite.failures) for suite in suites] == [("a.json", 0), ("b.json", 1)]
    assert (suites.tests, suites.failures) == (2 * count, 1)
    assert verdicts_as("github", pair).startswith(f"'a.json': {count} rules hold\n::error ")
