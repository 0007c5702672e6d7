"""The check: an independent judge of any plan, by docs/formulation.md and in exact arithmetic.

It imports the nouns and the catalog, and nothing else: no solver, no cost model, no graph library.
Everything that parses as a plan gets a verdict; no plan makes the check itself fail.
"""

from hexplan.check.advice import ADVICE, Advice
from hexplan.check.judge import check_plan
from hexplan.check.rule import Rule, Violation
from hexplan.check.rules import ALL_RULES, REPEATED_RULES, RULES
from hexplan.check.rules_page import rule_text, rules_markdown
from hexplan.check.stale import PLAN_STALE, stale_violations
from hexplan.check.warnings import WARNINGS, warning_violations

__all__ = [
    "ADVICE",
    "ALL_RULES",
    "PLAN_STALE",
    "REPEATED_RULES",
    "RULES",
    "WARNINGS",
    "Advice",
    "Rule",
    "Violation",
    "check_plan",
    "rule_text",
    "rules_markdown",
    "stale_violations",
    "warning_violations",
]
