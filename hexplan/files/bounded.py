"""Read files within bounds, and write them whole or not at all."""

from __future__ import annotations

import os
import secrets
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import TypeAlias

from hexplan.errors import InputError, SpecError

_Handler: TypeAlias = Callable[[int, FrameType | None], object] | int
_NEWLINE = b"\n"
_HELD_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def read_bounded(path: Path, limit_bytes: int) -> str:
    """Return the UTF-8 text of a file of at most `limit_bytes`."""
    try:
        with path.open("rb") as file:
            content = file.read(limit_bytes + 1)
    except (OSError, ValueError) as error:
        raise _failure(path, "read", error) from error
    if len(content) > limit_bytes:
        problem = f"{path}: larger than {limit_bytes} bytes, needed at most that"
        raise InputError(problem, hint="is this the right file?")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        where = f"{path}:{content.count(_NEWLINE, 0, error.start) + 1}"
        problem = f"found the byte 0x{content[error.start]:02x}, needed UTF-8 text"
        raise SpecError(where, problem, hint="save the file as UTF-8") from error


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file so that readers see the old or the new content, never a part of it.

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
    """Let the signals that end a process wait, so that they leave no temporary file.

    Masking them would not do: another thread of the process would take them. Off the main thread,
    where Python sets no handlers, they do not wait.
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
