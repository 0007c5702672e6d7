"""GitHub's workflow commands, which become remarks beside the lines of a pull request."""

from __future__ import annotations

from hexplan.report.finding import Finding, Verdict

_IN_MESSAGE = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_IN_PROPERTY = {**_IN_MESSAGE, ":": "%3A", ",": "%2C"}
"""How GitHub's runner wants them written (actions/toolkit, core/src/command.ts)."""


def github(verdict: Verdict) -> str:
    """Return a command for each finding; without any, one line that is no command."""
    if not verdict.findings:
        return f"ok: {len(verdict.rules)} rules hold\n"
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
