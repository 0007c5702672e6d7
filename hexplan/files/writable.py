"""Refuse an output that cannot be written, before hours of work go into it."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

from hexplan.errors import InputError


def require_writable(option: str, path: Path) -> None:
    """Refuse a path that `write_atomically` could not write.

    Parameters
    ----------
    option
        The option that names the path, for the message.

    Raises
    ------
    InputError
        The path is a folder, or its folder is missing, or nothing can be written there.
    """
    folder, hint = path.parent, None
    try:
        if path.name in ("", "-") or path.is_dir():
            problem = "needed a file"
        elif not folder.is_dir():
            problem, hint = f"but there is no folder {folder}", f"create it: `mkdir -p {folder}`"
        else:
            _try(path)
            return
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        problem = f"which cannot be written: {reason or error}"
    message = f"{option}: found {path}, {problem}"
    raise InputError(message, hint=hint)


def _try(path: Path) -> None:
    """Raise an `OSError` if a file in an existing folder cannot be written."""
    if path.exists() and not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    if not path.exists() or path.is_file():
        # The new content first goes into a file beside it. Even root cannot create one everywhere.
        with tempfile.TemporaryFile(dir=Path(os.path.realpath(path)).parent):
            pass
