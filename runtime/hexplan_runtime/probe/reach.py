"""How a host is reached: as this machine, or over ssh."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address

from hexplan.errors import InputError
from hexplan_runtime.net.addresses import PUBLIC_HINT, is_public
from hexplan_runtime.processes import Here, OverSsh, Starter
from hexplan_runtime.processes.command import SSH, is_address, is_program


@dataclass(frozen=True, slots=True)
class HostAddress:
    """A host, and where it is."""

    host: str
    address: str | None = None
    """An IP or DNS name; None means this machine."""


@dataclass(frozen=True, slots=True)
class Reach:
    """How agents are started on other hosts."""

    ssh: tuple[str, ...] = SSH
    """A program and its arguments; an address and a command for its shell follow."""
    python: str = "python3"
    """The Python there that has hexplan."""
    may_be_public: bool = False
    """Whether hosts may listen at public addresses."""
    behind: tuple[str, ...] = ()
    """Hosts that other hosts cannot call, as they are behind NAT or a firewall."""

    def check(self, place: HostAddress) -> None:
        """Refuse what must not stand in a command, and addresses that must not be listened at.

        Raises
        ------
        InputError
            The address or the program could be read as something else, or the address is public.
        """
        if not is_program(self.python):
            message = f"--python: found {self.python}, needed the path of a program"
            raise InputError(message, hint="letters, digits and `_./~+-` may stand in it")
        if place.address is None:
            return
        found = f"{place.host}: found the"
        if not is_address(place.address):
            message = f"{found} address {place.address!r}, needed an IP or DNS name"
            raise InputError(message)
        if not self.may_be_public and _is_public(place.address):
            message = f"{found} public address {place.address}, needed a private one"
            raise InputError(message, hint=PUBLIC_HINT)

    def starter(self, place: HostAddress) -> Starter:
        """Return what starts the agent of a host."""
        if place.address is None:
            return Here()
        return OverSsh(place.address, self.python, self.ssh)


def _is_public(address: str) -> bool:
    try:
        return is_public(ip_address(address))
    except ValueError:  # a name, which the host itself looks up
        return False
