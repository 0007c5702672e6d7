"""Say how a solve and a check ended."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hexplan.plan import Plan
from hexplan.render import words
from hexplan.render.aim_view import aim_summary

if TYPE_CHECKING:
    from hexplan.check import Violation


def summary(plan: Plan, output: Path | None) -> str:
    """Return one line about a solved plan."""
    certificate = plan.certificate
    written = f"wrote {output}: " if output is not None and output != Path("-") else ""
    aim = aim_summary(plan)
    if aim is not None:
        stages = words.count(len(plan.stages), "stage")
        return f"{written}{aim}, in {stages}, {words.duration(plan.solve.wall_s)}"
    trusted = certificate.trusted
    more = ""
    if trusted is not None:
        most = words.rate(trusted.tokens_per_s)
        more = f" (trusted: {most} tokens/s, gap {words.gap(trusted.gap)})"
    by = "" if plan.solve.method == "hexplan" else f"{plan.solve.method}: "
    return (
        f"{written}{by}{words.rate(certificate.flow_tokens_per_s)} tokens/s in"
        f" {words.count(len(plan.stages), 'stage')}, bound"
        f" {words.rate(certificate.bound_tokens_per_s)} tokens/s, gap {words.gap(certificate.gap)}"
        f"{more},"
        f" {words.duration(plan.solve.wall_s)}"
    )


def verdict_text(violations: Sequence[Violation], num_rules: int) -> str:
    """Return a line for each violation; without any, one line that says so."""
    if not violations:
        return f"ok: {words.count(num_rules, 'rule')} hold\n"
    return "".join(f"{words.printable(str(violation))}\n" for violation in violations)


def verdict_json(violations: Sequence[Violation], num_rules: int) -> str:
    """Return the verdict as JSON."""
    verdict = {
        "ok": not violations,
        "rules": num_rules,
        "violations": [dataclasses.asdict(violation) for violation in violations],
    }
    return json.dumps(verdict, indent=2) + "\n"
