"""The forms of a verdict, by the names that `check --format` knows."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias, get_args

from hexplan.render import words
from hexplan.report.finding import Verdict
from hexplan.report.github import github
from hexplan.report.junit import junit
from hexplan.report.sarif import sarif

Form: TypeAlias = Literal["text", "json", "sarif", "junit", "github"]
FORMS: tuple[Form, ...] = get_args(Form)


def verdict_as(form: Form, verdict: Verdict) -> str:
    """Return a verdict in one of the forms."""
    return _WRITERS[form](verdict)


def _text(verdict: Verdict) -> str:
    """Return a line for each finding, with its place if the cluster.yaml is known."""
    if not verdict.findings:
        return f"ok: {words.count(len(verdict.rules), 'rule')} hold\n"
    places = (f"{one.place}: " if verdict.has_spec else "" for one in verdict.findings)
    lines = zip(places, verdict.findings, strict=True)
    return "".join(words.printable(f"{place}{one.violation}\n") for place, one in lines)


def _json(verdict: Verdict) -> str:
    found = [
        {**dataclasses.asdict(one.violation), "file": one.place.file, "line": one.place.line}
        for one in verdict.findings
    ]
    answer = {"ok": not found, "rules": len(verdict.rules), "violations": found}
    return json.dumps(answer, indent=2) + "\n"


_WRITERS: Mapping[Form, Callable[[Verdict], str]] = {
    "text": _text,
    "json": _json,
    "sarif": sarif,
    "junit": junit,
    "github": github,
}
