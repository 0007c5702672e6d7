"""Write docs/reference/rules.md, the table of all rules."""

from __future__ import annotations

from hexplan.check.rules import REPEATED_RULES, RULES

FAMILIES = {
    "1": "What the plan refers to",
    "2": "Placement, shards and pins (formulation 2)",
    "3": "Memory (formulation 3)",
    "4": "Speed (formulation 4)",
    "5": "Flow (formulation 5)",
    "6": "Routes (formulation 5)",
    "7": "Certificate and prediction (formulation 6 and 8)",
    "8": "Bound on every flow (formulation 8)",
    "9": "Figures computed again, with `--simulate`",
}


def rules_markdown() -> str:
    """Return the page that lists all rules by family."""
    lines = [
        "# Rules of a plan",
        "",
        "`hexplan check` tests a plan against these rules. It recomputes every number from the plan"
        " alone,",
        "in exact arithmetic, and lists all violations. The formulas are in"
        " [formulation.md](../formulation.md).",
    ]
    for family, title in FAMILIES.items():
        lines += ["", f"## {title}", "", "| id | name | what must hold |", "|---|---|---|"]
        for rule in (*RULES, *REPEATED_RULES):
            if rule.id.startswith(f"HEX{family}"):
                lines.append(f"| {rule.id} | `{rule.name}` | {rule.sentence} |")
    return "\n".join(lines) + "\n"
