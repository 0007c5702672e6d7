"""A finding: a violation, and the file and line where a person looks for its cause."""

from __future__ import annotations

from dataclasses import dataclass

from hexplan.check import Rule, Violation


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a file."""

    file: str
    """As the user named it."""
    line: int
    """Counted from 1."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Finding:
    """One violation and its place."""

    violation: Violation
    place: Place


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the check found."""

    rules: tuple[Rule, ...]
    """Every rule that the plan was held against."""
    findings: tuple[Finding, ...]
    """What breaks them, in the order of the rules."""
    plan_file: str
    """The plan as the user named it."""
    has_spec: bool = False
    """Whether places are lines of the cluster.yaml, as far as it has them."""
