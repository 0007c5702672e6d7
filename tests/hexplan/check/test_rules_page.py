"""The table of rules and the page that is generated from it."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

import hexplan.check
from hexplan.check import ADVICE, Rule, rule_text, rules_markdown
from hexplan.check import ALL_RULES as RULES

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "rules.md"


def test_the_page_of_rules_is_the_generated_one() -> None:
    assert PAGE.read_text() == rules_markdown()


def test_every_rule_stands_on_the_page_once() -> None:
    page = rules_markdown()
    links = [f"| [{rule.id}](#{rule.id.lower()}-{rule.name}) | `{rule.name}` |" for rule in RULES]
    assert [page.count(link) for link in links] == [1] * len(RULES)
    assert [page.count(f"### {rule.id} {rule.name}\n") for rule in RULES] == [1] * len(RULES)


def test_every_rule_says_why_it_is_there_and_how_to_mend_a_plan() -> None:
    assert set(ADVICE) == {rule.id for rule in RULES}
    for rule in RULES:
        advice = ADVICE[rule.id]
        assert all(len(text) > 10 and text.endswith(".") for text in (advice.why, advice.mend))
        assert advice.why in rule_text(rule)


def test_every_rule_of_any_module_is_listed_and_defined_once() -> None:
    found = walk_packages(hexplan.check.__path__, "hexplan.check.")
    modules = [import_module(module.name) for module in found]
    defined = [v for module in modules for v in vars(module).values() if isinstance(v, Rule)]
    assert sorted(rule.id for rule in defined) == [rule.id for rule in RULES]


def test_ids_and_names_are_unique_and_in_order() -> None:
    ids = [rule.id for rule in RULES]
    assert ids == sorted(set(ids))
    assert len({rule.name for rule in RULES}) == len(RULES)


def test_ids_and_names_have_one_form() -> None:
    for rule in RULES:
        assert re.fullmatch(r"HEX\d{3}", rule.id)
        assert re.fullmatch(r"[a-z]+(-[a-z]+)+", rule.name)
        assert rule.sentence.endswith(".")
