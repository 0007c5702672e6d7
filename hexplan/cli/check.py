"""The commands `check` and `rule`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hexplan.cli.inputs import Overlays, source
from hexplan.cli.output import emit
from hexplan.errors import CheckFailed, InputError

if TYPE_CHECKING:
    from hexplan.plan import Plan
    from hexplan.predicted import Predicted
    from hexplan.report import PlaceFinder, Verdict
    from hexplan.spec import Spec

MOST_REQUESTS = 10_000_000
"""The most requests of the repeated runs: a core simulates hundreds to thousands a second."""


class Format(StrEnum):
    """The forms of `check`'s verdict; those of `hexplan.report.FORMS`."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"
    JUNIT = "junit"
    GITHUB = "github"


def check(
    plan_files: Annotated[
        list[Path], typer.Argument(metavar="PLAN...", help="plan.json files, or - for stdin.")
    ],
    simulate: Annotated[
        bool,
        typer.Option(
            "--simulate", help="Also repeat the simulations that the plan states figures of."
        ),
    ] = False,
    spec_file: Annotated[
        Path | None,
        typer.Option(
            "--cluster",
            metavar="SPEC",
            help="The cluster.yaml: the plan must be up to date with it; names its lines.",
        ),
    ] = None,
    overlay: Overlays = None,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings fail the check, too.")] = False,
    output_format: Annotated[
        Format, typer.Option("--format", help="The form of the verdict, for people or for CI.")
    ] = Format.TEXT,
) -> None:
    """Check plans against every rule.

    Exits with 4 if a rule is broken. The check needs a plan alone, computes in exact arithmetic,
    and shares no code with the planner.

    Proved again: that the flow is what the routes carry, that nothing is overloaded, and that no
    flow on this placement is larger.

    Computed again: memory, KV room, speeds, what they rest on and how far they may be off, step
    limits, weights, the band of the flow, costs, and the sizes of a model of the catalog.

    Held against what is possible: served rates, TTFT and TPOT. --simulate runs the plan's
    simulations again, by the policy, step limits, seeds and times that it states, and refuses
    figures that do not come out the same.

    Trusted: the cluster, model and workload themselves, a bound that says so, the reasons of unused
    devices, and how the plan was made. docs/check.md has the list.
    """
    from hexplan.report import verdicts_as

    options = _Options(simulate, strict, spec_file, _spec(spec_file, overlay or []))
    verdicts = [_judged(plan_file, options) for plan_file in plan_files]
    emit(verdicts_as(output_format.value, verdicts))
    failed = [verdict for verdict in verdicts if verdict.findings]
    if failed:
        raise _failure(failed)


@dataclass(frozen=True, slots=True)
class _Options:
    """What a plan is held against."""

    simulate: bool
    strict: bool
    spec_file: Path | None
    spec: Spec | None


def _judged(plan_file: Path, options: _Options) -> Verdict:
    """Hold one plan against every rule that was asked for."""
    from hexplan.check import (
        PLAN_STALE,
        REPEATED_RULES,
        RULES,
        WARNINGS,
        check_plan,
        stale_violations,
        warning_violations,
    )
    from hexplan.plan_file import read_plan
    from hexplan.report import Finding, Verdict

    plan, spec = read_plan(source(plan_file)), options.spec
    rules, violations = RULES, check_plan(plan)
    # Figures of a plan that breaks other rules mean nothing, and may take for ever to simulate.
    if options.simulate and not violations:
        rules, violations = (*rules, *REPEATED_RULES), check_plan(plan, _repeated(plan))
    if spec is not None:
        rules, violations = (*rules, PLAN_STALE), (*violations, *stale_violations(plan, spec))
    if options.strict:
        rules = (*WARNINGS, *rules)
        violations = violations or tuple(warning_violations(plan))
    findings: tuple[Finding, ...] = ()
    if violations:  # only these need the lines of the files
        at = _places(plan, plan_file, options.spec_file)
        findings = tuple(Finding(one, at.place(one)) for one in violations)
    return Verdict(rules, findings, str(plan_file), has_spec=spec is not None)


def rule(rule_id: Annotated[str, typer.Argument(metavar="RULE", help="Such as HEX301.")]) -> None:
    """Say what a rule demands, why, and how to mend a plan that breaks it."""
    from hexplan.check import ALL_RULES, rule_text
    from hexplan.wording import did_you_mean

    known = {one.id: one for one in ALL_RULES}
    found = known.get(rule_id.upper())
    if found is None:
        message = f"found no rule {rule_id}, needed one of the {len(known)} rules"
        hint = did_you_mean(rule_id, known) or "docs/reference/rules.md lists them"
        raise InputError(message, hint=hint)
    emit(rule_text(found))


def _spec(spec_file: Path | None, overlays: list[Path]) -> Spec | None:
    from hexplan.reading import read_spec

    if spec_file is not None:
        return read_spec(spec_file, overlays)
    if overlays:
        message = "--overlay: found it without --cluster, needed the spec whose figures it replaces"
        raise InputError(message, hint="give the `--cluster` that the plan was made from")
    return None


def _places(plan: Plan, plan_file: Path, spec_file: Path | None) -> PlaceFinder:
    from hexplan.files.bounded import read_bounded
    from hexplan.files.json_reader import MAX_BYTES
    from hexplan.plan_file import plan_json
    from hexplan.reading.spec_lines import spec_lines
    from hexplan.report import PlaceFinder

    # Standard input is read once, so the lines of a plan from there are those that `solve` writes.
    is_stdin = plan_file == Path("-")
    text = plan_json(plan) if is_stdin else read_bounded(plan_file, MAX_BYTES)
    if spec_file is None:
        return PlaceFinder(plan, str(plan_file), text)
    return PlaceFinder(plan, str(plan_file), text, str(spec_file), spec_lines(spec_file))


def _failure(failed: Sequence[Verdict]) -> CheckFailed:
    """Say what kind of violations there are, and what to do about them."""
    from hexplan.check import PLAN_STALE, WARNINGS
    from hexplan.render import words

    found = [finding.violation.rule for verdict in failed for finding in verdict.findings]
    places = words.count(len(found), "place")
    plans = failed[0].plan_file if len(failed) == 1 else words.count(len(failed), "plan")
    if set(found) <= {one.id for one in WARNINGS}:
        message = f"{plans}: all rules hold, but there are warnings in {places}"
        return CheckFailed(message, hint=f"`hexplan rule {found[0]}` says what to do")
    if set(found) == {PLAN_STALE.id}:
        message = f"{plans}: older than the spec, which has changed in {places}"
        return CheckFailed(message, hint="solve again, or `hexplan replan` to move few weights")
    message = f"{plans} {'breaks' if len(failed) == 1 else 'break'} rules in {places}"
    return CheckFailed(message, hint="undo what was changed in the plan, or solve again")


def _repeated(plan: Plan) -> Predicted:
    """Return the plan's prediction with its simulated figures computed again."""
    try:
        from hexplan_solver.repeat import repeat
    except ModuleNotFoundError as error:
        message = f"`{error.name}` is not installed, and --simulate needs it"
        raise InputError(message, hint='pip install "hexplan"') from error
    sustained, run = plan.predicted.sustained, plan.predicted.run
    simulated = sustained.simulated if sustained else None
    requests = sum(stated.requests for stated in (simulated, run) if stated is not None)
    if requests > MOST_REQUESTS:
        message = f"--simulate: the plan's runs have {requests} requests, needed at most 1e7"
        raise InputError(message, hint="check it without --simulate")
    return repeat(plan)
