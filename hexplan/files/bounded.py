"""Read files within bounds, and write them whole or not at all."""

from __future__ import annotations

import errno
import os
import re
import secrets
import signal
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import BinaryIO, TypeAlias

from hexplan.errors import InputError, SpecError

_Handler: TypeAlias = Callable[[int, FrameType | None], object] | int
_NEWLINE = b"\n"
_HELD_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_OWN_STREAM = re.compile(r"/dev/stdin|/dev/fd/[0-9]+|/proc/self/fd/[0-9]+")
_KINDS = ((stat.S_ISFIFO, "a FIFO"), (stat.S_ISCHR, "a device"), (stat.S_ISBLK, "a device"))


def is_own_stream(path: Path) -> bool:
    """Say whether a path names a stream that this process was started with."""
    return _OWN_STREAM.fullmatch(str(path)) is not None


def open_to_read(path: Path) -> BinaryIO:
    """Open a regular file, or a stream such as /dev/stdin that this process was started with.

    Raises
    ------
    OSError
        If the file cannot be opened, or is anything else: reading from a FIFO or a device may
        never end.
    """
    if is_own_stream(path):
        return path.open("rb")
    # Without O_NONBLOCK, opening a FIFO waits until somebody writes to it.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _require_regular(os.fstat(descriptor).st_mode)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def _require_regular(mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(mode):
        kind = next((name for is_kind, name in _KINDS if is_kind(mode)), "a special file")
        raise OSError(errno.EINVAL, f"found {kind}, needed a regular file")


def read_bounded(path: Path, limit_bytes: int) -> str:
    """Return the UTF-8 text of a file of at most `limit_bytes`.

    Raises
    ------
    InputError
        If the file cannot be read, is not a regular file or a stream of this process, is larger
        than the limit, or is not UTF-8.
    """
    try:
        with open_to_read(path) as file:
            content = file.read(limit_bytes + 1)
    except (OSError, ValueError) as error:
        raise _failure(path, "read", error) from error
    if len(content) > limit_bytes:
        message = f"{path}: larger than {limit_bytes} bytes, the limit"
        raise InputError(message, hint="is this the right file?")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        where = f"{path}:{content.count(_NEWLINE, 0, error.start) + 1}"
        problem = f"found the byte 0x{content[error.start]:02x}, needed UTF-8 text"
        hint = "save the file as UTF-8"
        raise SpecError(where, problem, hint=hint, needed="needed UTF-8 text") from error


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file so that readers see either the old or the new content, never a part of it.

    Text is written as UTF-8.
    """
    try:
        encoded = content.encode() if isinstance(content, str) else content
        if path.exists() and not path.is_file():
            path.write_bytes(encoded)
        else:
            _replace(Path(os.path.realpath(path)), encoded)
    except (OSError, ValueError) as error:
        raise _failure(path, "write", error) from error


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    with _signals_held():
        try:
            with temporary.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make a rename in the folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _signals_held() -> Iterator[None]:
    """Delay the signals that end a process, so that no temporary file is left behind.

    Blocking them is not enough, because the kernel would deliver them to another thread. Python
    sets handlers only in the main thread; in other threads the signals are not delayed.
    """
    arrived: list[int] = []
    before: dict[signal.Signals, _Handler] = {}
    if threading.current_thread() is threading.main_thread():
        before = {n: h for n in _HELD_SIGNALS if (h := signal.getsignal(n)) is not None}
    try:
        for number in before:
            signal.signal(number, lambda number, _frame: arrived.append(number))
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for arrived_number in dict.fromkeys(arrived):
            signal.raise_signal(arrived_number)


def _failure(path: Path, verb: str, error: OSError | ValueError) -> InputError:
    reason = error.strerror if isinstance(error, OSError) else None
    return InputError(f"{path}: cannot {verb} it: {reason or error}")
