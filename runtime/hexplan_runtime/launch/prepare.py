"""Install hexplan on a plan's hosts, where Python is all that they need to have."""

from __future__ import annotations

import base64
import os
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final, Literal

from pydantic import ValidationError

from hexplan.errors import InputError
from hexplan.frozen_model import FrozenModel
from hexplan.plan import Plan
from hexplan_runtime.launch.explaining import explain_words
from hexplan_runtime.launch.places import HostPlace, Hosts, host_places

MOST_WHEEL_BYTES: Final = 2**26
LIMIT_S: Final = 1800.0
"""torch alone may take long over a slow line."""
_SCRIPT: Final = "prepare_script.py"


class Outcome(FrozenModel):
    """What the script on a host says at its end."""

    state: Literal["there", "installed", "failed"]
    """It was there already; it is there now; or it is not."""
    python: str
    """The Python that has it."""
    problem: str = ""
    """Why it is not there."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A host, and how installing went there."""

    host: str
    address: str
    outcome: Outcome
    hint: str | None = None


def prepare_hosts(plan: Plan, hosts: Hosts, wheel: Path, *, alone: bool) -> Iterator[Prepared]:
    """Install a wheel on all hosts at once, and yield how it went in the order of the plan.

    Parameters
    ----------
    alone
        Install nothing but hexplan, as the Python there has what it needs.

    Raises
    ------
    InputError
        There is no such wheel, or an address must not be used.
    """
    places = host_places(plan, hosts.reach)
    script = _script(wheel, alone=alone)
    with ThreadPoolExecutor(max_workers=max(1, len(places))) as threads:
        yield from threads.map(lambda place: _prepare(place, hosts, script), places)


def _script(wheel: Path, *, alone: bool) -> bytes:
    if wheel.suffix != ".whl" or not wheel.name.startswith("hexplan-"):
        message = f"{wheel}: found another file, needed a wheel of hexplan"
        raise InputError(message, hint="`python -m build --wheel` makes one in dist/")
    try:
        data = wheel.read_bytes() if wheel.stat().st_size <= MOST_WHEEL_BYTES else b""
    except OSError as error:
        message = f"{wheel}: {error.strerror}"
        raise InputError(message) from error
    if not data.startswith(b"PK"):
        message = f"{wheel}: found no wheel: it is empty, too large, or no archive"
        raise InputError(message)
    source = files("hexplan_runtime.launch").joinpath(_SCRIPT).read_text(encoding="utf-8")
    encoded = base64.b64encode(data).decode()
    return f"{source}\nprepare({wheel.name!r}, {encoded!r}, {alone!r})\n".encode()


def _prepare(place: HostPlace, hosts: Hosts, script: bytes) -> Prepared:
    try:
        ran = subprocess.run(  # noqa: S603
            _command(place, hosts),
            input=script,
            capture_output=True,
            timeout=LIMIT_S,
            check=False,
            env=os.environ,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return _failed(place, str(error), None)
    lines = ran.stdout.decode(errors="replace").splitlines()
    try:
        outcome = Outcome.model_validate_json(lines[-1] if lines else "")
    except ValidationError:
        words = ran.stderr.decode(errors="replace")
        problem, hint = explain_words(words, place.address)
        return _failed(place, problem or f"it ended with exit code {ran.returncode}", hint)
    return Prepared(place.name, place.address, outcome)


def _command(place: HostPlace, hosts: Hosts) -> Sequence[str]:
    """Return the command that feeds a script to the Python there; no word of it is the plan's."""
    reach = hosts.reach
    own = (reach.python, "-")
    return own if place.is_here else (*reach.ssh, place.address, *own)


def _failed(place: HostPlace, problem: str, hint: str | None) -> Prepared:
    outcome = Outcome(state="failed", python="", problem=problem)
    return Prepared(place.name, place.address, outcome, hint)
