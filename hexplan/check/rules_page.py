"""Write docs/reference/rules.md: every rule with what must hold, why, and how to mend a plan."""

from __future__ import annotations

from collections.abc import Iterator

from hexplan.check.advice import ADVICE
from hexplan.check.rule import Rule
from hexplan.check.rules import ALL_RULES

FAMILIES = {
    "0": "Warnings, with `--strict`",
    "1": "What the plan refers to",
    "2": "Placement, shards and pins (formulation 2)",
    "3": "Memory (formulation 3)",
    "4": "Speed (formulation 4)",
    "5": "Flow (formulation 5)",
    "6": "Routes (formulation 5)",
    "7": "Certificate and prediction (formulation 6 and 8)",
    "8": "Bound on every flow (formulation 8)",
    "9": "Computed again with `--simulate`, and compared with `--cluster`",
}


def rules_markdown() -> str:
    """Return the page: a table of all rules by family, and then a section on each."""
    lines = [
        "# Rules of a plan",
        "",
        "`hexplan check` tests a plan against these rules. It recomputes every number from the plan"
        " alone,",
        "in exact arithmetic, and lists all violations. The formulas are in"
        " [formulation.md](../formulation.md).",
        "`hexplan rule HEX301` prints what stands here on one rule.",
    ]
    for family, title in FAMILIES.items():
        lines += ["", f"## {title}", "", "| id | name | what must hold |", "|---|---|---|"]
        for rule in ALL_RULES:
            if rule.id.startswith(f"HEX{family}"):
                link = f"[{rule.id}](#{rule.id.lower()}-{rule.name})"
                lines.append(f"| {link} | `{rule.name}` | {rule.sentence} |")
    lines += ["", "## Why, and how to mend a plan"]
    for rule in ALL_RULES:
        lines += ["", f"### {rule.id} {rule.name}"]
        for title, text in _parts(rule):
            lines += ["", f"**{title}.** {text}"]
    return "\n".join(lines) + "\n"


def rule_text(rule: Rule) -> str:
    """Return what there is to say on one rule, in paragraphs."""
    parts = (f"{title}: {text}" for title, text in _parts(rule))
    return "\n\n".join([f"{rule.id} {rule.name}", *parts]) + "\n"


def _parts(rule: Rule) -> Iterator[tuple[str, str]]:
    advice = ADVICE[rule.id]
    yield "What must hold", rule.sentence
    yield "Why", advice.why
    yield "How to mend it", advice.mend
