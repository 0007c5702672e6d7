"""The errors that hexplan raises, each with its exit code.

* HexplanError                 1  our bug, unless a subclass says otherwise
  x InputError                 2  bad usage, or a file that is wrong
    + SpecError                2  one named place of a file is wrong
  x InfeasibleError            3  proved: no plan exists
  x CheckFailed                4  a plan breaks a rule
  x CannotExpress              4  a target of `export` cannot express a plan
  x LimitReached               6  a limit was reached and there is no plan yet
  x LaunchError                7  a launch or health failure

Exit code 5 (differences found) is for `probe --exit-code`, 130 for an interrupt; neither is an
error.
"""

from __future__ import annotations

from typing import ClassVar


class HexplanError(Exception):
    """Something went wrong that the user is told about in one message and an optional hint."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class InputError(HexplanError):
    """The command or a file that it reads is wrong."""

    exit_code = 2


class SpecError(InputError):
    """One place of a file is wrong.

    Parameters
    ----------
    where
        `file:line: field`, as far as it is known.
    problem
        What was found, and what is needed.
    needed
        What is needed, without quoting the file: for a file that the user did not choose.
    """

    def __init__(
        self, where: str, problem: str, *, hint: str | None = None, needed: str | None = None
    ) -> None:
        super().__init__(f"{where}: {problem}", hint=hint)
        self.where = where
        self.problem = problem
        self.needed = needed or "needed another kind of file"


class InfeasibleError(HexplanError):
    """No plan exists for this input, and the message says why."""

    exit_code = 3


class CheckFailed(HexplanError):
    """A plan breaks at least one rule."""

    exit_code = 4


class CannotExpress(HexplanError):
    """A target of `export` cannot express a plan, and the message says what of it."""

    exit_code = 4


class LimitReached(HexplanError):
    """A time or node limit was reached before any plan was found."""

    exit_code = 6


class LaunchError(HexplanError):
    """A launched pipeline failed to start, or stopped working."""

    exit_code = 7
