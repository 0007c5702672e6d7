"""What a rule is, and what is reported where a plan breaks it."""

from __future__ import annotations

from dataclasses import dataclass

WARNING_FAMILY = "HEX0"
"""What the ids of warnings begin with."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One place of a plan that breaks one rule."""

    rule: str
    """Id of the rule, such as `HEX301`."""
    name: str
    """Name of the rule, such as `memory-overflow`."""
    where: str
    """The place, such as `stage s3, device 1`."""
    message: str
    """What was found and what is needed, with the arithmetic."""

    def __str__(self) -> str:
        return f"{self.rule} {self.name}: {self.where}: {self.message}"


@dataclass(frozen=True, slots=True)
class Rule:
    """One requirement that every plan must meet."""

    id: str
    """`HEX` and three digits; the first digit is the family."""
    name: str
    """What a violation is called."""
    sentence: str
    """What must hold."""

    @property
    def is_warning(self) -> bool:
        """Whether a plan that breaks it may be run all the same."""
        return self.id.startswith(WARNING_FAMILY)

    def at(self, where: str, message: str) -> Violation:
        """Return a violation of this rule."""
        return Violation(self.id, self.name, where, message)
