"""What an agent checks before it starts a rank: versions, addresses, model files and memory."""

from __future__ import annotations

import hashlib
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from ipaddress import ip_address
from pathlib import Path

from hexplan.errors import InputError, LaunchError
from hexplan.files.bounded import open_to_read
from hexplan.reading.model_folder.headers import MAX_HEADER_BYTES, weight_file_names
from hexplan_runtime.agent.messages import FileSeen, HostGreeting, HostSeen, HostTask
from hexplan_runtime.hardware import free_cores, main_memory
from hexplan_runtime.model.model_files import find_model_folder, place_weights
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


def own_address(task: HostTask) -> str:
    """Return the IP address where this host listens.

    Raises
    ------
    InputError
        It is not this host's, or public, or means all of them.
    """
    address = local_address(task.address, may_be_public=task.may_be_public)
    if _is_loopback(address) and not _is_loopback(task.address):
        message = f"{task.address} means {address} here, which no other host reaches"
        raise InputError(message, hint="give the host its address in numbers in the spec")
    return address


def at_home(task: HostTask) -> HostTask:
    """Return a task whose model folder is spelled out, if it is in the home of whoever runs it."""
    folder = str(Path(task.assignment.model_folder).expanduser())
    assignment = task.assignment.model_copy(update={"model_folder": folder})
    return task.model_copy(update={"assignment": assignment})


def look_around(task: HostTask) -> HostSeen:
    """Return what is here.

    Raises
    ------
    InputError
        The model is not here, or not the plan's.
    LaunchError
        torch is missing, or there is too little memory for the planned weights and KV caches.
    """
    return HostSeen(
        python=platform.python_version(),
        torch=torch_here(),
        cores=free_cores(),
        free_bytes=memory_for(task),
        clock_s=time.time(),
        files=files_here(task),
    )


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


def memory_for(task: HostTask) -> int:
    """Return the bytes of memory that new processes could use.

    Raises
    ------
    LaunchError
        The planned weights and KV caches need more.
    """
    plan = task.assignment.plan
    free_bytes = main_memory().free_bytes
    memory = [one for index in task.stages for one in plan.stages[index].memory]
    needed_bytes = sum(one.weights_bytes + one.kv_bytes for one in memory)
    if needed_bytes > free_bytes:
        message = (
            f"found {free_bytes / _GIB:.1f} GiB of free memory, needed {needed_bytes / _GIB:.1f}"
            " GiB for the planned weights and KV caches"
        )
        raise LaunchError(message, hint="end other programs there, or plan with less of it")
    return free_bytes


def files_here(task: HostTask) -> tuple[FileSeen, ...]:
    """Return the files of weights in this host's model folder.

    Raises
    ------
    InputError
        The model is not here, or not the plan's.
    """
    plan, named = task.assignment.plan, Path(task.assignment.model_folder)
    missing = missing_files(named)
    if missing:
        message = f"{named}: not a model folder, it lacks {', '.join(missing)}"
        raise InputError(message, hint=PUSH_HINT)
    folder = find_model_folder(plan, named)
    require_layers(plan, task.stages, place_weights(folder))
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
