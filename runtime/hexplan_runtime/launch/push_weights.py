"""Copy to each host of a plan the files of the model that its stages need, over ssh."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryFile
from threading import Lock
from typing import IO, Final

from pydantic import ValidationError

from hexplan.errors import LaunchError
from hexplan.files.bounded import read_bounded
from hexplan.frozen_model import FrozenModel
from hexplan.plan import Plan
from hexplan.reading.model_folder.headers import INDEX, MAX_INDEX_BYTES, SINGLE
from hexplan_runtime.agent.weights import file_sha256
from hexplan_runtime.agent.weights_messages import (
    BLOCK_BYTES,
    FileState,
    FileWanted,
    FolderReport,
    FolderTask,
    Sending,
)
from hexplan_runtime.launch.explaining import explain_words
from hexplan_runtime.launch.places import HostPlace, Hosts, host_places
from hexplan_runtime.model.model_files import Place, find_model_folder, place_weights, weight_files
from hexplan_runtime.model.needed_files import files_beside, needed_weights

RECEIVER: Final = "hexplan_runtime.agent.weights"
_LAST_WORDS_S: Final = 5.0
"""How long an end that has hung up may take to end."""
_AT_ONCE: Final = 8
"""Hosts to copy to at once: more would share the same line."""


@dataclass(frozen=True, slots=True)
class Pushed:
    """A host, and what was copied there."""

    host: str
    address: str
    weight_files: tuple[str, ...]
    """The files of weights that its stages need."""
    copied_bytes: int = 0
    """What this call has copied."""
    present_bytes: int = 0
    """What was there before."""
    problem: str | None = None
    """Why its stages cannot run there, if they cannot."""
    hint: str | None = None


class WeightsPusher:
    """Copies files of this machine's model folder.

    Raises
    ------
    InputError
        The folder is not the plan's model, or not whole; or an address must not be used.
    """

    def __init__(self, plan: Plan, hosts: Hosts, folder: Path | None) -> None:
        self._plan = plan
        self._hosts = hosts
        self._folder = find_model_folder(plan, folder)
        self._places: Mapping[str, Place] = place_weights(self._folder)
        self._hashes: dict[Path, str] = {}
        self._lock = Lock()
        self._hosts_places = host_places(plan, hosts.reach)

    def push(self) -> Iterator[Pushed]:
        """Copy to all hosts, and yield how it went in the order of the plan."""
        with ThreadPoolExecutor(max_workers=_AT_ONCE) as threads:
            yield from threads.map(self._push_to, self._hosts_places)

    def _push_to(self, place: HostPlace) -> Pushed:
        needed = needed_weights(self._plan, place.stages, self._places)
        weights = [file for file in weight_files(self._folder) if file.name in needed]
        found = Pushed(place.name, place.address, tuple(file.name for file in weights))
        there = self._hosts.model_folder or self._folder
        if place.is_here and there == self._folder:
            present = sum(file.stat().st_size for file in weights)
            return replace(found, present_bytes=present)
        task = FolderTask(
            folder=str(there),
            files=tuple(map(self._wanted, [*files_beside(self._folder), *weights])),
            others=tuple(
                self._wanted(file) for file in weight_files(self._folder) if file not in weights
            ),
            index=self._index,
        )
        command = place.starter(self._hosts.reach).command(RECEIVER)
        with (
            TemporaryFile() as words,
            subprocess.Popen(  # noqa: S603
                command.argv,
                env=dict(command.environment),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=words,
            ) as process,
        ):
            stdin = process.stdin
            assert stdin is not None
            try:
                return self._feed(process, task, found)
            except (OSError, ValidationError, LaunchError) as error:
                told = error.message if isinstance(error, LaunchError) else _last_problem(process)
                process.kill()
                process.wait()
                with suppress(OSError):
                    stdin.close()  # what nobody has read is lost
                words.seek(0)
                said = words.read().decode(errors="replace")
                problem, hint = explain_words(said, place.address)
                problem = told or problem or "the connection ended; the next call goes on"
                if told and not said:
                    hint = "what has come of a file stays, and the next call goes on there"
                return replace(found, problem=problem, hint=hint)

    def _feed(self, process: subprocess.Popen[bytes], task: FolderTask, found: Pushed) -> Pushed:
        """Send what is missing."""
        assert process.stdin is not None
        assert process.stdout is not None
        _tell(process.stdin, task)
        report = _hear(process.stdout)
        wanted = {file.name: file for file in task.files}
        other = [state.name for state in report.files if state.state == "other"]
        if other:
            problem = f"{task.folder}: found other files: {', '.join(other)}"
            hint = "choose another folder with `--hosts-model-folder`, or remove them there"
            return replace(found, problem=problem, hint=hint)
        starts = {s.name: self._start(s) for s in report.files if s.state == "part"}
        missing = sum(wanted[name].size_bytes - start for name, start in starts.items())
        if missing > report.free_bytes:
            problem = f"{task.folder}: {report.free_bytes:,} bytes free, needed {missing:,}"
            return replace(found, problem=problem, hint="make room there, or choose another folder")
        for name, start in starts.items():
            _tell(process.stdin, Sending(name=name, from_byte=start))
            with (self._folder / name).open("rb") as file:
                file.seek(start)
                while block := file.read(BLOCK_BYTES):
                    process.stdin.write(block)
            process.stdin.flush()
            _hear(process.stdout)
        _tell(process.stdin, Sending())
        _hear(process.stdout)
        present = sum(file.size_bytes for file in task.files) - missing
        return replace(found, copied_bytes=missing, present_bytes=present)

    def _start(self, state: FileState) -> int:
        """Return where to go on: where the other end is if what it has is right, or at 0."""
        hasher = hashlib.sha256()
        left_bytes = state.size_bytes
        with (self._folder / state.name).open("rb") as file:
            while left_bytes and (block := file.read(min(BLOCK_BYTES, left_bytes))):
                hasher.update(block)
                left_bytes -= len(block)
        return state.size_bytes if not left_bytes and hasher.hexdigest() == state.sha256 else 0

    def _wanted(self, file: Path) -> FileWanted:
        with self._lock:
            if file not in self._hashes:
                self._hashes[file] = file_sha256(file)
        size_bytes = file.stat().st_size
        return FileWanted(name=file.name, size_bytes=size_bytes, sha256=self._hashes[file])

    @cached_property
    def _index(self) -> str | None:
        index = self._folder / INDEX
        if (self._folder / SINGLE).is_file() or not index.is_file():
            return None
        return read_bounded(index, MAX_INDEX_BYTES)


def _tell(stdin: IO[bytes], message: FrozenModel) -> None:
    stdin.write(message.model_dump_json().encode() + b"\n")
    stdin.flush()


def _last_problem(process: subprocess.Popen[bytes]) -> str | None:
    """Return what the other end said before it hung up, such as that its disk is full."""
    assert process.stdout is not None
    try:
        process.wait(_LAST_WORDS_S)
        return FolderReport.model_validate_json(process.stdout.readline()).problem
    except (subprocess.TimeoutExpired, ValidationError):
        return None


def _hear(stdout: IO[bytes]) -> FolderReport:
    """Wait for the next report.

    Raises
    ------
    LaunchError
        The other end gives up.
    ValidationError
        It is gone, or says something else.
    """
    report = FolderReport.model_validate_json(stdout.readline())
    if report.problem is not None:
        raise LaunchError(report.problem)
    return report
