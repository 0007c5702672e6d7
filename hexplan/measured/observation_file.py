"""Write observations as they come; however a launch ends, the file has whole lines."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Final, Self

from hexplan.errors import InputError
from hexplan.measured.observations import Header, Line, check_header, line_text
from hexplan.plan import Plan

_MODE: Final = 0o644
_BLOCK_BYTES: Final = 1 << 16
_NEWLINE: Final = b"\n"


class ObservationFile:
    """A file of observations of one plan; any thread may add to it.

    Raises
    ------
    InputError
        It cannot be written, or holds anything but observations of this plan.
    """

    def __init__(self, path: Path, plan: Plan) -> None:
        self._path = path
        self._lock = Lock()
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, _MODE)
        except (OSError, ValueError) as error:
            raise self._failure(error) from error
        try:
            self._begin(plan)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def add(self, lines: Iterable[Line]) -> None:
        """Append lines; after `close` they are dropped."""
        self._append("".join(map(line_text, lines)).encode())

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        with self._lock:
            file, self._file = self._file, -1
        if file >= 0:
            os.close(file)

    def _begin(self, plan: Plan) -> None:
        """Write the first line, or check that the existing one is of this plan."""
        about = os.fstat(self._file)
        if not stat.S_ISREG(about.st_mode):
            message = f"--observe: found {self._path}, needed a file"
            raise InputError(message)
        whole = self._cut_to_whole_lines(about.st_size)
        if not whole:
            self._append(line_text(Header.of(plan)).encode())
            return
        first = os.pread(self._file, _BLOCK_BYTES, 0).partition(_NEWLINE)[0]
        check_header(self._path, first.decode(errors="replace"), plan)

    def _cut_to_whole_lines(self, size: int) -> int:
        """Drop an unfinished last line, which a killed launch leaves; return the bytes that remain.

        If a file of ours has no newline at all, that line is its header.
        """
        tail = os.pread(self._file, _BLOCK_BYTES, max(0, size - _BLOCK_BYTES))
        whole = size - len(tail) + tail.rfind(_NEWLINE) + 1 if _NEWLINE in tail else 0
        is_ours = os.pread(self._file, len(_OURS), 0) == _OURS[:size]
        if whole < size <= whole + _BLOCK_BYTES and is_ours:
            os.ftruncate(self._file, whole)
            return whole
        return size

    def _append(self, data: bytes) -> None:
        with self._lock:
            try:
                while data and self._file >= 0:
                    data = data[os.write(self._file, data) :]
            except OSError as error:
                raise self._failure(error) from error

    def _failure(self, error: OSError | ValueError) -> InputError:
        reason = error.strerror if isinstance(error, OSError) else error
        message = f"{self._path}: cannot write observations there: {reason}"
        folder = self._path.parent
        hint = None if folder.is_dir() else f"create the folder: `mkdir -p {folder}`"
        return InputError(message, hint=hint)


_OURS: Final = b'{"kind":"observations"'
