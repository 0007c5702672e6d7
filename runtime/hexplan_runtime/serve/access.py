"""Access: who may call the server, and at which address it listens."""

from __future__ import annotations

import hmac
import os
import stat
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from starlette.datastructures import Headers

from hexplan.errors import InputError
from hexplan.files.bounded import read_bounded
from hexplan_runtime.net.addresses import local_address
from hexplan_runtime.serve.problems import ApiError, Forbidden, Unauthorized

KEY_FILE_LIMIT_BYTES = 2**16
LEAST_KEY_CHARACTERS = 16
OPEN_PATHS = frozenset({"/", "/health", "/ping", "/readyz", "/version"})
"""Paths that need no key: they tell nothing of the plan, the model or other clients."""
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Door:
    """What the user says about who may call the server."""

    host: str
    key_file: Path | None
    is_insecure: bool
    may_be_wildcard: bool
    may_be_public: bool


@dataclass(frozen=True, slots=True)
class Access:
    """Where the server listens, and who may call it."""

    address: str = "127.0.0.1"
    keys: tuple[str, ...] = ()
    """API keys, of which a client sends one; none are asked for if this is empty."""
    host_names: tuple[str, ...] | None = None
    """Names by which clients may call the server; any if None."""


class Gate:
    """Refuses callers without a key, and pages of other sites.

    The name in the address is checked too: its owner could let the name of a page point to this
    machine, and then call the server through a browser that runs here.
    """

    def __init__(self, access: Access) -> None:
        self._keys = [key.encode() for key in access.keys]
        self._host_names = access.host_names

    def require(self, path: str, headers: Headers) -> str:
        """Let a request in, and return by which of several keys; nothing if that tells nothing.

        Raises
        ------
        ApiError
            It may not come in.
        """
        host = headers.get("host", "")
        if self._host_names is not None and _name(host) not in self._host_names:
            message = f"the host name {host[:100]!r} is not one of this server"
            raise Forbidden(message, code="unknown_host")
        origin = headers.get("origin")
        if origin is not None and _split(origin).netloc != host:
            message = f"pages of {origin[:100]!r} may not call this server"
            raise Forbidden(message, code="foreign_origin")
        if self._keys and path not in OPEN_PATHS:
            number = self._require_key(headers.get("authorization", ""))
            return f"key {number}" if len(self._keys) > 1 else ""
        return ""

    def _require_key(self, given: str) -> int:
        kind, _, key = given.partition(" ")
        found = key.strip().encode()
        # All keys are compared, each in constant time, so that the time tells nothing.
        matches = [hmac.compare_digest(found, known) for known in self._keys]
        if kind.lower() != "bearer" or not any(matches):
            message = "needed an API key: `Authorization: Bearer KEY`"
            raise Unauthorized(message, code="invalid_api_key")
        return matches.index(True)


def require_json(headers: Headers) -> None:
    """Refuse a body that any page of the web may send without being asked first.

    Raises
    ------
    ApiError
        The body is not declared as JSON.
    """
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        message = "needed the header `Content-Type: application/json`"
        raise ApiError(message, code="invalid_content_type")


def read_keys(path: Path) -> tuple[str, ...]:
    """Return the keys of a file, one a line.

    Raises
    ------
    InputError
        Others may read the file, or a key in it is too short.
    """
    keys = tuple(
        line.strip()
        for line in read_bounded(path, KEY_FILE_LIMIT_BYTES).splitlines()
        if line.strip() and not line.startswith("#")
    )
    mode = path.stat().st_mode
    if stat.S_ISREG(mode) and mode & (stat.S_IRWXG | stat.S_IRWXO):
        message = f"{path}: other users of this machine may read or change it"
        raise InputError(message, hint=f"`chmod 600 {path}`")
    if stat.S_ISREG(mode) and path.stat().st_uid not in (0, os.geteuid()):
        message = f"{path}: it belongs to another user, needed your own file"
        raise InputError(message)
    if not keys:
        message = f"{path}: found no key, needed one a line"
        raise InputError(message, hint="make one: `openssl rand -hex 32`")
    if any(len(key) < LEAST_KEY_CHARACTERS or not key.isascii() for key in keys):
        message = f"{path}: found a key that is too short or not ASCII"
        hint = f"needed at least {LEAST_KEY_CHARACTERS} characters: `openssl rand -hex 32`"
        raise InputError(message, hint=hint)
    return keys


def open_door(door: Door) -> Access:
    """Return where to listen and whom to answer, if that is safe or asked for.

    Raises
    ------
    InputError
        Others than this machine could call the server, and no key or `--insecure` says who may;
        or the address or the key file is wrong.
    """
    if door.key_file is not None and door.is_insecure:
        raise InputError("--api-key-file and --insecure exclude each other")
    address = _listening_address(door)
    keys = read_keys(door.key_file) if door.key_file is not None else ()
    is_local = ip_address(address).is_loopback
    if not (is_local or keys or door.is_insecure):
        message = f"--host {door.host}: others could use this server, and no key is asked for"
        hint = "`--api-key-file FILE`; or `--insecure`, if everyone who reaches the address may"
        raise InputError(message, hint=hint)
    names = (*LOOPBACK_NAMES, door.host.strip("[]"), address) if is_local and not keys else None
    return Access(address, keys, names)


def _listening_address(door: Door) -> str:
    name = door.host.strip("[]")
    if _is_wildcard(name):
        if door.may_be_wildcard:
            return name
        message = f"--host {door.host} means every address of this machine, needed one of them"
        hint = "name one, or add `--allow-wildcard` where a container or a firewall bounds it"
        raise InputError(message, hint=hint)
    try:
        return local_address(name, may_be_public=door.may_be_public)
    except InputError as error:
        message = f"--host {error.message}"
        raise InputError(message, hint=error.hint) from error


def _is_wildcard(name: str) -> bool:
    try:
        return ip_address(name).is_unspecified
    except ValueError:
        return False


def _name(host: str) -> str:
    return _split(f"//{host}").hostname or ""


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")
