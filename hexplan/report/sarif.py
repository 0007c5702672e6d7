"""SARIF 2.1.0, the OASIS format that code scanning services read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.metadata import version
from urllib.parse import quote

from hexplan.check import ADVICE, Rule
from hexplan.report.finding import Finding, Verdict

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def sarif(verdicts: Sequence[Verdict]) -> str:
    """Return verdicts as a SARIF log of one run for each plan."""
    runs = [_run(verdict) for verdict in verdicts]
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": runs}, indent=2) + "\n"


def _run(verdict: Verdict) -> dict[str, object]:
    index_of = {rule.id: index for index, rule in enumerate(verdict.rules)}
    driver = {
        "name": "hexplan",
        "version": version("hexplan"),
        "rules": [_rule(rule) for rule in verdict.rules],
    }
    return {
        "tool": {"driver": driver},
        "automationDetails": {"id": f"hexplan check/{verdict.plan_file}"},
        "columnKind": "unicodeCodePoints",
        "results": [
            _result(verdict, one, index_of[one.violation.rule]) for one in verdict.findings
        ],
    }


def _rule(rule: Rule) -> dict[str, object]:
    advice = ADVICE[rule.id]
    text = f"{rule.sentence} {advice.why} {advice.mend}"
    markdown = f"{rule.sentence}\n\n**Why**: {advice.why}\n\n**How to mend it**: {advice.mend}"
    return {
        "id": rule.id,
        "name": "".join(word.capitalize() for word in rule.name.split("-")),
        "shortDescription": {"text": rule.name.replace("-", " ")},
        "fullDescription": {"text": rule.sentence},
        "help": {"text": text, "markdown": markdown},
        "defaultConfiguration": {"level": _level(rule)},
    }


def _result(verdict: Verdict, finding: Finding, index: int) -> dict[str, object]:
    violation, place = finding.violation, finding.place
    return {
        "ruleId": violation.rule,
        "ruleIndex": index,
        "level": _level(verdict.rules[index]),
        "message": {"text": f"{violation.where}: {violation.message}"},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": quote(place.file)},
                    "region": {"startLine": place.line},
                },
                "logicalLocations": [{"fullyQualifiedName": violation.where}],
            }
        ],
    }


def _level(rule: Rule) -> str:
    return "warning" if rule.is_warning else "error"
