"""All rules, in the order of their ids; collected, so that none can be left out."""

from __future__ import annotations

from hexplan.check import host_rules, rules, stage_rules
from hexplan.check.rules import Rule

_NAMED = (
    *vars(rules).values(),
    *vars(stage_rules).values(),
    *vars(host_rules).values(),
)
RULES = tuple(sorted((v for v in _NAMED if isinstance(v, Rule)), key=lambda rule: rule.id))
