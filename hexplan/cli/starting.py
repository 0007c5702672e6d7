"""What comes before a plan is started: are its packages there, and does the user agree to it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

import typer

from hexplan.errors import InputError

if TYPE_CHECKING:
    from hexplan.plan import Plan

RUNTIME = ("torch", "transformers", "safetensors")
"""The packages without which no plan runs."""


def require_packages(names: Sequence[str]) -> None:
    """Refuse to run a plan without the runtime's packages."""
    for name in names:
        if find_spec(name) is None:
            message = f"`{name}` is not installed, and running a plan needs it"
            raise InputError(message, hint='`pip install "hexplan[runtime]"`')


def ask_to_start(plan: Plan, *, yes: bool) -> None:
    """Ask before starting processes, if a person is at the terminal."""
    from hexplan.render import summary

    if not yes and sys.stdin.isatty() and sys.stderr.isatty():
        question = f"{summary(plan, None)}\nstart it on this machine?"
        typer.confirm(question, default=True, abort=True, err=True)
