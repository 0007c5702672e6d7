"""A command's end of a launch's control socket."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Final

from hexplan.errors import InputError, LaunchError
from hexplan.plan import Plan
from hexplan_runtime.control.messages import Answer, Ask
from hexplan_runtime.control.places import sockets

_PATIENCE_S: Final = 30.0


def ask_launch(plan: Plan | None, ask: Ask) -> Answer:
    """Ask the running launch of a plan, or the only one there is.

    Raises
    ------
    InputError
        No such launch runs as this user on this machine, or several do.
    LaunchError
        It does not answer, or does not do what it was asked.
    """
    live = [found for path in sockets(plan) if (found := _call(path)) is not None]
    try:
        if len(live) != 1:
            number = str(len(live)) if live else "none"
            message = f"found {number} running, needed one launch of yours on this machine"
            hint = "name its plan" if live and plan is None else "`hexplan serve PLAN` starts one"
            raise InputError(message, hint=hint)
        answer = _exchange(live[0], ask)
    finally:
        for one in live:
            one.close()
    if answer.problem is not None:
        kind = InputError if answer.is_users else LaunchError
        raise kind(answer.problem, hint=answer.hint)
    return answer


def _call(path: Path) -> socket.socket | None:
    """Connect to a launch; a socket whose launch was killed is removed."""
    caller = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    caller.settimeout(_PATIENCE_S)
    try:
        caller.connect(str(path))
    except ConnectionRefusedError:
        path.unlink(missing_ok=True)
    except OSError:
        pass
    else:
        return caller
    caller.close()
    return None


def _exchange(caller: socket.socket, ask: Ask) -> Answer:
    try:
        caller.sendall(ask.model_dump_json().encode() + b"\n")
        with caller.makefile("rb") as lines:
            return Answer.model_validate_json(lines.readline())
    except (OSError, ValueError) as error:
        message = f"the launch does not answer: {error}"
        raise LaunchError(message) from error
