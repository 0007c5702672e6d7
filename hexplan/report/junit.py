"""JUnit's XML, which CI systems show as test results: one test case for each rule."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree as Xml

from hexplan.report.finding import Verdict

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 (section 2.2) has no way to write."""


def junit(verdicts: Sequence[Verdict]) -> str:
    """Return a test suite for each plan; a rule that is broken in several places fails once."""
    suites = Xml.Element("testsuites", {"name": "hexplan check"})
    for verdict in verdicts:
        _add_suite(suites, verdict)
    for count in ("tests", "failures", "errors"):
        suites.set(count, str(sum(int(suite.get(count, "0")) for suite in suites)))
    Xml.indent(suites)
    return Xml.tostring(suites, encoding="unicode", xml_declaration=False) + "\n"


def _add_suite(suites: Xml.Element, verdict: Verdict) -> None:
    broken = {finding.violation.rule for finding in verdict.findings}
    counts = {"tests": str(len(verdict.rules)), "failures": str(len(broken)), "errors": "0"}
    suite = Xml.SubElement(suites, "testsuite", {"name": _clean(verdict.plan_file), **counts})
    for rule in verdict.rules:
        names = {"classname": "hexplan.check", "name": f"{rule.id} {rule.name}"}
        case = Xml.SubElement(suite, "testcase", names)
        found = [one for one in verdict.findings if one.violation.rule == rule.id]
        if found:
            lines = [
                f"{one.place}: {one.violation.where}: {one.violation.message}" for one in found
            ]
            failure = Xml.SubElement(case, "failure", {"message": rule.sentence, "type": rule.name})
            failure.text = _clean("\n".join(lines))


def _clean(text: str) -> str:
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)
