"""Receive files of a model: `python -m hexplan_runtime.agent.weights`, over ssh.

A file that is under way is called `.NAME.part`; it takes its name once all its bytes have the
coordinator's hash. What is there of it stays if the connection ends, and the next call goes on. A
file of another model is never touched.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from pathlib import Path
from typing import BinaryIO, NoReturn

from hexplan.frozen_model import FrozenModel
from hexplan.reading.model_folder.headers import INDEX
from hexplan_runtime.agent.weights_messages import (
    BLOCK_BYTES,
    FileState,
    FileWanted,
    FolderReport,
    FolderTask,
    Sending,
)


def main() -> None:
    """Say what is there, take what comes, and write the index of what is there then."""
    orders = sys.stdin.buffer
    task = FolderTask.model_validate_json(_line(orders))
    folder = Path(task.folder).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _tell(_first_report(folder, task))
        wanted = {file.name: file for file in task.files}
        while (sending := Sending.model_validate_json(_line(orders))).name:
            problem = _receive(folder, wanted[sending.name], sending.from_byte, orders)
            _tell(FolderReport(problem=problem))
        _tell(FolderReport(problem=write_index(folder, task)))
    except OSError as error:
        _tell(FolderReport(problem=f"{error.filename or folder}: {error.strerror}"))


def _first_report(folder: Path, task: FolderTask) -> FolderReport:
    files = tuple(_state(folder, file) for file in task.files)
    return FolderReport(files=files, free_bytes=shutil.disk_usage(folder).free)


def _state(folder: Path, wanted: FileWanted) -> FileState:
    """Return what is there of a file."""
    whole, part = folder / wanted.name, _part(folder, wanted.name)
    if whole.exists():
        size_bytes, digest = whole.stat().st_size, file_sha256(whole)
        is_same = (size_bytes, digest) == (wanted.size_bytes, wanted.sha256)
        state = FileState(name=wanted.name, state="whole", size_bytes=size_bytes, sha256=digest)
        return state if is_same else state.model_copy(update={"state": "other"})
    size_bytes = part.stat().st_size if part.exists() else 0
    digest = file_sha256(part) if size_bytes else hashlib.sha256().hexdigest()
    return FileState(name=wanted.name, state="part", size_bytes=size_bytes, sha256=digest)


def _receive(folder: Path, wanted: FileWanted, from_byte: int, source: BinaryIO) -> str | None:
    """Take the rest of a file, and return what is wrong with it at the end."""
    part = _part(folder, wanted.name)
    left_bytes = wanted.size_bytes - from_byte
    with part.open("r+b" if part.exists() else "wb") as file:
        file.truncate(from_byte)
        file.seek(from_byte)
        while left_bytes:
            block = source.read(min(BLOCK_BYTES, left_bytes))
            if not block:
                leave()
            file.write(block)
            left_bytes -= len(block)
        file.flush()
        os.fsync(file.fileno())
    if file_sha256(part) != wanted.sha256:
        part.unlink()
        return f"{wanted.name}: what arrived has another hash, and was removed"
    part.rename(folder / wanted.name)
    return None


def write_index(folder: Path, task: FolderTask) -> str | None:
    """Let the index name the weights that are here, so that nobody looks for the others.

    An index of another model stays as it is.
    """
    if task.index is None:
        return None
    whole: dict[str, str] = json.loads(task.index)["weight_map"]
    place = folder / INDEX
    known = _known_weights(place)
    if known is None or any(whole.get(weight) != file for weight, file in known.items()):
        return f"{place}: found the index of another model"
    own = {file.name for file in task.files}
    own |= {
        file.name
        for file in task.others
        if (folder / file.name).exists() and _state(folder, file).state == "whole"
    }
    here = {weight: file for weight, file in whole.items() if file in own}
    if here == known:
        return None
    fresh = _part(folder, INDEX)
    fresh.write_text(json.dumps({"metadata": {}, "weight_map": here}, indent=2), encoding="utf-8")
    fresh.rename(place)
    return None


def _known_weights(index: Path) -> dict[str, str] | None:
    """Return where an index places weights: nowhere if there is none, and None if it is torn."""
    if not index.exists():
        return {}
    try:
        found = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
    except (ValueError, KeyError, TypeError):
        return None
    return found if isinstance(found, dict) else None


def leave() -> NoReturn:
    """End, as the coordinator is gone; what has come stays."""
    sys.exit(1)


def _line(orders: BinaryIO) -> bytes:
    return orders.readline() or leave()


def file_sha256(path: Path) -> str:
    """Return the hash of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _part(folder: Path, name: str) -> Path:
    return folder / f".{name}.part"


def _tell(message: FrozenModel) -> None:
    print(message.model_dump_json(), flush=True)


if __name__ == "__main__":
    main()
