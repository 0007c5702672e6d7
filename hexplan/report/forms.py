"""The forms of a verdict, by the names that `check --format` knows."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, TypeAlias, get_args

from hexplan.render import words
from hexplan.report.finding import Verdict
from hexplan.report.github import github
from hexplan.report.junit import junit
from hexplan.report.sarif import sarif

Form: TypeAlias = Literal["text", "json", "sarif", "junit", "github"]
FORMS: tuple[Form, ...] = get_args(Form)


def verdicts_as(form: Form, verdicts: Sequence[Verdict]) -> str:
    """Return the verdicts on some plans in one of the forms."""
    return _WRITERS[form](verdicts)


def _text(verdicts: Sequence[Verdict]) -> str:
    """Return a line for each finding; several plans are named."""
    if len(verdicts) == 1:
        return _lines(verdicts[0])
    named = ((verdict.plan_file, _lines(verdict).splitlines()) for verdict in verdicts)
    return "".join(f"{words.printable(plan)}: {line}\n" for plan, lines in named for line in lines)


def _lines(verdict: Verdict) -> str:
    """Return a line for each finding, with its place if the cluster.yaml is known."""
    if not verdict.findings:
        return f"ok: {words.count(len(verdict.rules), 'rule')} hold\n"
    places = (f"{one.place}: " if verdict.has_spec else "" for one in verdict.findings)
    lines = zip(places, verdict.findings, strict=True)
    return "".join(words.printable(f"{place}{one.violation}\n") for place, one in lines)


def _json(verdicts: Sequence[Verdict]) -> str:
    """Return an object for one plan, and a list of them for several."""
    answers = [_answer(verdict) for verdict in verdicts]
    return json.dumps(answers[0] if len(answers) == 1 else answers, indent=2) + "\n"


def _answer(verdict: Verdict) -> dict[str, object]:
    found = [
        {**dataclasses.asdict(one.violation), "file": one.place.file, "line": one.place.line}
        for one in verdict.findings
    ]
    plan, rules = verdict.plan_file, len(verdict.rules)
    return {"plan": plan, "ok": not found, "rules": rules, "violations": found}


_WRITERS: Mapping[Form, Callable[[Sequence[Verdict]], str]] = {
    "text": _text,
    "json": _json,
    "sarif": sarif,
    "junit": junit,
    "github": github,
}
