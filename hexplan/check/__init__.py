"""The check: an independent judge of any plan, by docs/formulation.md and in exact arithmetic.

It imports the nouns and the catalog, and nothing else: no solver, no cost model, no graph library.
Everything that parses as a plan gets a verdict; no plan makes the check itself fail.
"""

from hexplan.check.judge import check_plan
from hexplan.check.rule import Rule, Violation
from hexplan.check.rules import REPEATED_RULES, RULES
from hexplan.check.rules_page import rules_markdown

__all__ = ["REPEATED_RULES", "RULES", "Rule", "Violation", "check_plan", "rules_markdown"]
