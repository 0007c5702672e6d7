"""What an agent checks before it starts a rank: versions, addresses, model files and memory."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from ipaddress import ip_address
from pathlib import Path

from hexplan.errors import InputError, LaunchError
from hexplan.field_types import Range
from hexplan.files.bounded import open_to_read
from hexplan.reading.model_folder.headers import MAX_HEADER_BYTES, weight_file_names
from hexplan_runtime.agent.seen import FileSeen, HostGreeting
from hexplan_runtime.hardware import main_memory
from hexplan_runtime.model.model_files import check_model_folder, place_weights
from hexplan_runtime.model.needed_files import PUSH_HINT, missing_files, require_layers
from hexplan_runtime.net.addresses import local_address

_LENGTH_BYTES = 8
_PREPARE = "`hexplan hosts prepare PLAN` installs the same version on every host"
_GIB = 2**30


def check_version(greeting: HostGreeting) -> None:
    """Refuse to work for another version of hexplan, whose messages may mean something else.

    Raises
    ------
    InputError
        The versions differ.
    """
    found = version("hexplan")
    if found != greeting.version:
        message = f"found hexplan {found}, needed {greeting.version} as the coordinator has"
        raise InputError(message, hint=_PREPARE)


def own_address(planned: str, *, may_be_public: bool) -> str:
    """Return the IP address where this host listens, from what the plan says.

    Raises
    ------
    InputError
        It is not this host's, or public, or means all of them.
    """
    address = local_address(planned, may_be_public=may_be_public)
    if _is_loopback(address) and not _is_loopback(planned):
        message = f"{planned} means {address} here, which no other host reaches"
        raise InputError(message, hint="give the host its address in numbers in the spec")
    return address


def torch_here() -> str:
    """Return the version of torch, without the suffix that names its build.

    Raises
    ------
    LaunchError
        It is not installed.
    """
    try:
        return version("torch").partition("+")[0]
    except PackageNotFoundError as error:
        raise LaunchError("torch is not installed here", hint=_PREPARE) from error


def memory_for(needed_bytes: int) -> int:
    """Return the bytes of memory that new processes could use.

    Raises
    ------
    LaunchError
        The planned weights and KV caches need more.
    """
    free_bytes = main_memory().free_bytes
    if needed_bytes > free_bytes:
        message = (
            f"found {free_bytes / _GIB:.1f} GiB of free memory, needed {needed_bytes / _GIB:.1f}"
            " GiB for the planned weights and KV caches"
        )
        raise LaunchError(message, hint="end other programs there, or plan with less of it")
    return free_bytes


def files_here(
    named: Path, config_sha256: str | None, held: Sequence[Range]
) -> tuple[FileSeen, ...]:
    """Return the files of weights in this host's model folder.

    Parameters
    ----------
    held
        Ranges of the layers of this host's stages, whose weights must be here.

    Raises
    ------
    InputError
        The model is not here, or not the plan's.
    """
    missing = missing_files(named)
    if missing:
        message = f"{named}: not a model folder, it lacks {', '.join(missing)}"
        raise InputError(message, hint=PUSH_HINT)
    folder = check_model_folder(named, config_sha256)
    require_layers(held, place_weights(folder))
    return tuple(file_seen(folder / name) for name in weight_file_names(folder))


def file_seen(file: Path) -> FileSeen:
    """Return the size of a file of weights, and the hash of its header.

    Raises
    ------
    InputError
        It cannot be read, or is no safetensors file.
    """
    try:
        with open_to_read(file) as opened:
            length = int.from_bytes(opened.read(_LENGTH_BYTES), "little")
            if length > MAX_HEADER_BYTES:
                message = f"{file}: found a header of {length} bytes, which is no safetensors file"
                raise InputError(message)
            header = opened.read(length)
            size_bytes = file.stat().st_size
    except OSError as error:
        message = f"{file}: {error.strerror}"
        raise InputError(message) from error
    digest = hashlib.sha256(header).hexdigest()
    return FileSeen(name=file.name, size_bytes=size_bytes, header_sha256=digest)


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"
