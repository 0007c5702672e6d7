"""What a coordinator and a receiver of weights say to each other: one line of JSON each."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hexplan.frozen_model import FrozenModel
from hexplan.measured.findings import Bytes

BLOCK_BYTES = 2**20
"""What is read, sent and hashed at once."""
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,200}$")]
"""A file beside others: no name of a folder, and none that is hidden."""


class FileWanted(FrozenModel):
    """A file of the model as the coordinator has it."""

    name: FileName
    size_bytes: Bytes
    sha256: str


class FolderTask(FrozenModel):
    """What a receiver hears first."""

    folder: str
    """The model's folder on its host, which may begin with `~`; it is made if it is missing."""
    files: tuple[FileWanted, ...]
    """The files that its host needs."""
    others: tuple[FileWanted, ...]
    """The other files of weights, which it may have."""
    index: str | None
    """What the index of all weights says, as JSON; null if one file holds them."""


class FileState(FrozenModel):
    """What a receiver has of a file."""

    name: str
    state: Literal["whole", "part", "other"]
    """All of it; its beginning, or nothing; or another file of this name, which stays."""
    size_bytes: Bytes
    """Bytes that are there."""
    sha256: str
    """Hash of those."""


class FolderReport(FrozenModel):
    """What a receiver says: first what it has, then how each file arrived, and how all ended."""

    files: tuple[FileState, ...] = ()
    """What is there of each file that its host needs, in the first report."""
    free_bytes: int = 0
    """Room on its disk, in the first report."""
    problem: str | None = None
    """Why it gives up, if it does."""


class Sending(FrozenModel):
    """What a receiver hears before the bytes of a file follow; an empty name ends."""

    name: str = ""
    from_byte: Annotated[int, Field(ge=0)] = 0
    """Where they begin: what is there before it stays."""
