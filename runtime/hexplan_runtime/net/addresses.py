"""Addresses that this machine may listen at: one of its own, not all of them, and no public one.

torch.distributed neither checks who connects nor encrypts what it sends.
"""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Final, TypeAlias

from hexplan.errors import InputError, LaunchError

Ip: TypeAlias = IPv4Address | IPv6Address

LOOPBACK: Final = "127.0.0.1"
_LONGEST_PATH: Final = 100
"""Bytes of a socket file's path; Linux takes 107."""
PUBLIC_HINT = (
    "anyone there could read and change what hosts send each other: use the addresses of a private"
    " network or a VPN, or `--allow-public` if a firewall keeps everyone else out"
)


def local_address(name: str, *, may_be_public: bool) -> str:
    """Return, as an IP address, the address of this machine that a name stands for.

    Raises
    ------
    InputError
        The name is unknown, or its address belongs to another machine, is public, or means all.
    """
    own = [ip for ip in _resolved(name) if ip.is_unspecified or _can_listen(ip)]
    if not own:
        message = f"{name} is no address of this machine"
        raise InputError(message, hint="`ip address` lists those it has")
    if any(ip.is_unspecified for ip in own):
        message = f"{name} means every address of this machine, needed one of them"
        raise InputError(message, hint="`ip address` lists those it has")
    private = [ip for ip in own if may_be_public or not is_public(ip)]
    if not private:
        message = f"{name} is a public address, needed a private one"
        raise InputError(message, hint=PUBLIC_HINT)
    return str(private[0])


def is_own(name: str) -> bool:
    """Say whether a name stands for an address of this machine."""
    try:
        return any(_can_listen(ip) for ip in _resolved(name) if not ip.is_unspecified)
    except InputError:  # a name that only the configuration of ssh knows
        return False


def is_public(ip: Ip) -> bool:
    """Say whether everyone on the Internet can send to an address, firewalls aside."""
    return (getattr(ip, "ipv4_mapped", None) or ip).is_global


def tcp_address(ip: str, port: int | None = None) -> str:
    """Return the address of an edge between machines; the system chooses a port if it is None."""
    host = f"[{ip}]" if ":" in ip else ip
    return f"tcp://{host}:{'*' if port is None else port}"


def _resolved(name: str) -> list[Ip]:
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        message = f"{name}: cannot find its address: {getattr(error, 'strerror', None) or error}"
        raise InputError(message, hint="give an IP address, or a name that DNS knows") from error
    return [ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]


def _can_listen(ip: Ip) -> bool:
    family = socket.AF_INET if ip.version == 4 else socket.AF_INET6
    try:
        socket.create_server((str(ip), 0), family=family).close()
    except OSError:
        return False
    return True


def socket_file(folder: Path, number: int) -> str:
    """Return the address of an edge inside a machine.

    Raises
    ------
    LaunchError
        The path is longer than the system takes.
    """
    return f"ipc://{short_path(folder / f'edge-{number}')}"


def short_path(path: Path) -> Path:
    """Return the path of a socket file.

    Raises
    ------
    LaunchError
        It is longer than the system takes.
    """
    size = len(bytes(path))
    if size > _LONGEST_PATH:
        message = f"{path}: {size} bytes; a socket file's path has at most {_LONGEST_PATH}"
        raise LaunchError(message, hint="point TMPDIR to a folder with a shorter path")
    return path
