"""Descriptors: as many as the connections need, if the system allows them."""

from __future__ import annotations

import resource
from typing import Final

from hexplan.errors import InputError

RESERVED: Final = 256
"""Descriptors for all but clients: files, the ranks, and clients that are being refused."""


def allow_descriptors(connections: int) -> None:
    """Let this process open as many descriptors as so many connections need.

    Raises
    ------
    InputError
        The system does not allow them.
    """
    needed = connections + RESERVED
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if _covers(soft, needed):
        return
    if not _covers(hard, needed):
        message = (
            f"--max-connections {connections} needs {needed} open files, this user may have {hard}"
        )
        fewer = max(1, hard - RESERVED)
        raise InputError(message, hint=f"`--max-connections {fewer}`, or raise `ulimit -Hn`")
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    except (OSError, ValueError) as error:  # such as a limit of the kernel below that of the user
        message = f"--max-connections {connections} needs {needed} open files: {error}"
        raise InputError(message, hint="ask for fewer") from error


def _covers(limit: int, needed: int) -> bool:
    return limit == resource.RLIM_INFINITY or limit >= needed
