"""GitHub's workflow commands, which become remarks beside the lines of a pull request."""

from __future__ import annotations

from collections.abc import Sequence

from hexplan.report.finding import Finding, Verdict

_IN_MESSAGE = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_IN_PROPERTY = {**_IN_MESSAGE, ":": "%3A", ",": "%2C"}
"""How GitHub's runner wants them written (actions/toolkit, core/src/command.ts)."""


def github(verdicts: Sequence[Verdict]) -> str:
    """Return a command for each finding; a plan without any gets a line that is no command."""
    return "".join(map(_lines, verdicts))


def _lines(verdict: Verdict) -> str:
    if not verdict.findings:
        # A name with a line break could be a command.
        return f"{verdict.plan_file!r}: {len(verdict.rules)} rules hold\n"
    warnings = {rule.id for rule in verdict.rules if rule.is_warning}
    commands = (
        _command("warning" if one.violation.rule in warnings else "error", one)
        for one in verdict.findings
    )
    return "".join(f"{command}\n" for command in commands)


def _command(level: str, finding: Finding) -> str:
    violation, place = finding.violation, finding.place
    title = f"{violation.rule} {violation.name}"
    properties = {"file": place.file, "line": str(place.line), "title": title}
    named = ",".join(f"{key}={_escaped(text, _IN_PROPERTY)}" for key, text in properties.items())
    return f"::{level} {named}::{_escaped(f'{violation.where}: {violation.message}', _IN_MESSAGE)}"


def _escaped(text: str, replaced: dict[str, str]) -> str:
    return "".join(replaced.get(character, character) for character in text)
