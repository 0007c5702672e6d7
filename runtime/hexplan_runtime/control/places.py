"""Where control sockets are: one for each running launch, in a folder of its owner alone."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from tempfile import gettempdir

from hexplan.errors import InputError
from hexplan.plan import Plan


def control_folder() -> Path:
    """Return the folder, which only this user may enter; it is made if it is missing.

    Raises
    ------
    InputError
        It belongs to somebody else, or others may enter it.
    """
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR") or "/nowhere")
    own = Path(gettempdir()) / f"hexplan-{os.getuid()}"
    named = runtime / "hexplan" if runtime.is_dir() else own
    try:
        named.mkdir(mode=0o700, exist_ok=True)
        found = named.lstat()
    except OSError as error:
        message = f"{named}: {error.strerror}"
        raise InputError(message, hint="running launches have their sockets there") from error
    is_own = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
    if not is_own or stat.S_IMODE(found.st_mode) & 0o077:
        message = f"{named}: found a folder that others own or may enter, needed one of yours alone"
        raise InputError(message, hint=f"look at it, and remove it if it is not yours: {named}")
    return named


def new_socket(plan: Plan) -> Path:
    """Return the path of the control socket of a launch by this process."""
    return control_folder() / f"{plan_mark(plan)}-{os.getpid()}"


def sockets(plan: Plan | None = None) -> Sequence[Path]:
    """Return the control sockets of launches of a plan, or of all."""
    mark = "" if plan is None else plan_mark(plan)
    return sorted(path for path in control_folder().iterdir() if path.name.startswith(mark))


def plan_mark(plan: Plan) -> str:
    """Return what the names of a plan's control sockets begin with."""
    return hashlib.sha256(plan.model_dump_json(by_alias=True).encode()).hexdigest()[:16]
