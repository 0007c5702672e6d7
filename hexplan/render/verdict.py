"""Say how a solve ended."""

from __future__ import annotations

from pathlib import Path

from hexplan.plan import Plan
from hexplan.render import words
from hexplan.render.aim_view import aim_summary


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
