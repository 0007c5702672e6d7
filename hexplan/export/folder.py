"""Files of an export, written once all of them are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hexplan.errors import InputError
from hexplan.files.bounded import write_atomically

SCRIPT_MODE = 0o755


@dataclass(frozen=True, slots=True)
class File:
    """A file of an export."""

    name: str
    """Its name in the folder, or a path of one folder and a name."""
    text: str
    is_script: bool = False
    """Whether it can be run."""


def require_free(folder: Path, files: Sequence[File], *, force: bool) -> None:
    """Refuse a folder in which files could not be written, or would be overwritten unasked.

    Raises
    ------
    InputError
        The folder is something else, or has a file of one of these names.
    """
    if folder.exists() and not folder.is_dir():
        message = f"--output: found the file {folder}, needed a folder"
        raise InputError(message)
    there = [file.name for file in files if (folder / file.name).exists()]
    if there and not force:
        message = f"--output: {folder} has {there[0]} already"
        raise InputError(message, hint="choose another folder, or overwrite its files: `--force`")


def write_files(folder: Path, files: Sequence[File], *, force: bool) -> None:
    """Write files into a folder, which is made if it is missing; each whole or not at all.

    Raises
    ------
    InputError
        A file is there already and not to be overwritten, or cannot be written.
    """
    require_free(folder, files, force=force)
    for file in files:
        path = folder / file.name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            message = f"{path.parent}: cannot make the folder: {error.strerror}"
            raise InputError(message) from error
        write_atomically(path, file.text)
        if file.is_script:
            path.chmod(SCRIPT_MODE)
