"""What comes before a plan is started: are its packages there, and does the user agree to it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import typer

from hexplan.errors import InputError

if TYPE_CHECKING:
    from hexplan.plan import Plan

COMPILER_FOLDER = "TORCHINDUCTOR_CACHE_DIR"
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


@contextmanager
def compiler_folder() -> Iterator[None]:
    """Give torch's compiler a folder that is gone at the end, unless the user names one.

    torch makes one as soon as transformers is imported, whether anything is compiled or not, and
    leaves it in the folder for temporary files.
    """
    if COMPILER_FOLDER in os.environ:
        yield
        return
    with TemporaryDirectory(prefix="hexplan-") as folder:
        os.environ[COMPILER_FOLDER] = folder
        try:
            yield
        finally:
            os.environ.pop(COMPILER_FOLDER, None)
