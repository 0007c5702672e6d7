"""Names that may stand in files: refused where a target could read them as something else."""

from __future__ import annotations

import re
from ipaddress import ip_address

from hexplan.errors import CannotExpress

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_DNS_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9-]*[A-Za-z0-9])*")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_LONGEST_DNS_NAME = 253


def host_name(name: str) -> str:
    """Return the name of a host if it may stand in a file's name.

    Raises
    ------
    CannotExpress
        It holds anything but letters, digits, `.`, `_` and `-`, or is too long.
    """
    if not _NAME.fullmatch(name):
        message = f"found the host name {name!r}, needed letters, digits, `.`, `_` and `-`"
        raise CannotExpress(message, hint="rename the host in cluster.yaml, and solve again")
    return name


def node_name(name: str) -> str:
    """Return the name of a host if a Kubernetes node can have it.

    Raises
    ------
    CannotExpress
        It is no DNS name in lower case.
    """
    parts = host_name(name).split(".")
    if not all(_LABEL.fullmatch(part) for part in parts):
        message = f"found the host name {name!r}, needed that of a Kubernetes node: a DNS name in"
        message += " lower case"
        raise CannotExpress(message, hint="name hosts as `kubectl get nodes` does, and solve again")
    return name


def address(host: str, found: str | None) -> str:
    """Return the address of a host if it is an IP or DNS name.

    Raises
    ------
    CannotExpress
        There is none, or it could be read as something else.
    """
    if found is None:
        message = f"host {host} has no address, and the files must say where it is"
        hint = f"give {host} an `address` in cluster.yaml, and solve again"
        raise CannotExpress(message, hint=hint)
    try:
        return str(ip_address(found))
    except ValueError:
        pass
    if not _DNS_NAME.fullmatch(found) or len(found) > _LONGEST_DNS_NAME:
        message = f"host {host}: found the address {found!r}, needed an IP or DNS name"
        raise CannotExpress(message)
    return found


def authority(host: str, port: int) -> str:
    """Return an address with a port, as a URL has it: IPv6 in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def one_line(what: str, text: str) -> str:
    """Return text if it is one printable line: no target reads anything else alike.

    Raises
    ------
    CannotExpress
        It is empty, or holds a control character or a line break.
    """
    if not text or not text.isprintable():
        message = f"found {text!r} as {what}, needed one line of printable text"
        raise CannotExpress(message)
    return text
