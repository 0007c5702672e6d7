"""What the end of an agent means to a user: what was found on the host, and what helps."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from hexplan.errors import HexplanError, LaunchError
from hexplan_runtime.launch.places import HostPlace
from hexplan_runtime.processes import Ended

_PREPARE = "`hexplan hosts prepare PLAN` installs it there; `--python` names another Python"
_CAUSES: Final = (
    (
        r"Could not resolve hostname",
        "give the host its address in numbers, or a name that DNS or your ssh configuration knows",
    ),
    (
        r"Permission denied",
        "`ssh-copy-id ADDRESS` gives the host your key; it must need no password",
    ),
    (
        r"Host key verification failed|REMOTE HOST IDENTIFICATION HAS CHANGED",
        "run `ssh ADDRESS` once by hand and compare its key; a changed key may be an attack",
    ),
    (
        r"Connection refused",
        "start the ssh server there, or name its port in your ssh configuration",
    ),
    (
        r"timed out|No route to host|Network is unreachable",
        "is the host on, and does the address lead to it from here? `ssh ADDRESS true` must work",
    ),
    (
        r"(?:not found|No such file or directory|can't open)",
        f"is there a Python of this name on the host? {_PREPARE}",
    ),
    (r"No module named", f"that Python lacks hexplan: {_PREPARE}"),
    (
        r"unknown option|Unknown option|unrecognized option",
        f"it needs Python 3.11 or newer: {_PREPARE}",
    ),
)
"""What ssh, a shell or Python says, and what then helps; the first that fits counts."""
_SSH_FAILED: Final = 255
_LONGEST: Final = 300


def explain_end(place: HostPlace, ended: Ended[Any]) -> LaunchError:
    """Return the error that says why the agent of a host has ended."""
    words = ended.child.last_words
    name = f"{ended.child.name} ({place.address})"
    found, hint = explain_words(words, place.address)
    if found is not None:
        return LaunchError(f"{name}: {found}", hint=hint)
    how = "ssh to it ended" if ended.exit_code == _SSH_FAILED else "its agent ended"
    message = f"{name}: {how} with exit code {ended.exit_code}"
    return LaunchError(message, hint=f"its last lines were:\n{words}" if words else None)


def explain_words(words: str, address: str) -> tuple[str | None, str | None]:
    """Return the line that says why a host is of no use, and what helps, if the line is known."""
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    for pattern, hint in _CAUSES:
        found = next((line for line in reversed(lines) if re.search(pattern, line)), None)
        if found is not None:
            return found[:_LONGEST], hint.replace("ADDRESS", address)
    return None, None


def together(errors: Sequence[HexplanError]) -> HexplanError:
    """Return one error that says what is wrong on all hosts."""
    if len(errors) == 1:
        return errors[0]
    message = "\n".join([f"{len(errors)} hosts cannot run the plan", *(e.message for e in errors)])
    hints = dict.fromkeys(error.hint for error in errors if error.hint)
    return type(errors[0])(message, hint="\n".join(hints) or None)
