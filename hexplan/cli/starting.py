"""What comes before a plan is started: are its packages there, and does the user agree to it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

import typer

from hexplan.errors import InputError

if TYPE_CHECKING:
    from hexplan.plan import Plan
    from hexplan_runtime.launch.places import Hosts

COMPILER_FOLDER = "TORCHINDUCTOR_CACHE_DIR"
RUNTIME = ("torch", "transformers", "safetensors")
"""The packages without which no plan runs."""


def require_packages(names: Sequence[str]) -> None:
    """Refuse to run a plan without the runtime's packages."""
    for name in names:
        if find_spec(name) is None:
            message = f"`{name}` is not installed, and running a plan needs it"
            raise InputError(message, hint='`pip install "hexplan[runtime]"`')


def count_hosts(plan: Plan, hosts: Hosts | None) -> int | None:
    """Return how many hosts a launch starts processes on; None for this machine alone."""
    return None if hosts is None else len({stage.host for stage in plan.stages})


def ask_to_start(plan: Plan, *, yes: bool, num_hosts: int | None = None) -> None:
    """Ask before starting processes, if a person is at the terminal."""
    from hexplan.render import summary, words

    if not yes and sys.stdin.isatty() and sys.stderr.isatty():
        where = "this machine" if num_hosts is None else words.count(num_hosts, "host")
        question = f"{summary(plan, None)}\nstart it on {where}?"
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
    from hexplan_runtime.processes.own_folder import OwnFolder

    folder = OwnFolder()
    os.environ[COMPILER_FOLDER] = str(folder.path)
    try:
        yield
    finally:
        os.environ.pop(COMPILER_FOLDER, None)
        folder.remove()
