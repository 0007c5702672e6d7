"""Control groups with little memory, in which Linux kills who asks for more."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.processes import wait_until

GROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class MemoryGroup:
    """A group, of version 1 or 2."""

    folder: Path

    @property
    def is_first_version(self) -> bool:
        """Whether it is of version 1."""
        return (self.folder / "memory.limit_in_bytes").exists()

    def limit(self, limit_bytes: int) -> None:
        """Let its processes have so much together."""
        name = "memory.limit_in_bytes" if self.is_first_version else "memory.max"
        (self.folder / name).write_text(str(limit_bytes))

    @property
    def used_bytes(self) -> int:
        """What its processes have now."""
        name = "memory.usage_in_bytes" if self.is_first_version else "memory.current"
        return int((self.folder / name).read_text())

    def run(self, words: Sequence[str]) -> tuple[str, ...]:
        """Return what runs a command in the group."""
        script = 'echo $$ > "$0"; exec "$@"'
        return ("/bin/sh", "-c", script, str(self.folder / "cgroup.procs"), *words)


@contextmanager
def memory_group() -> Iterator[MemoryGroup]:
    """Give a group for a while; a test that cannot have one is skipped."""
    first = GROUPS / "memory"
    folder = (first if first.is_dir() else GROUPS) / f"hexplan-test-{os.getpid()}"
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"control groups cannot be made here: {error}")
    try:
        group = MemoryGroup(folder)
        if not group.is_first_version and not (folder / "memory.max").exists():
            pytest.skip("control groups here do not limit memory")
        yield group
    finally:
        assert wait_until(lambda: not (folder / "cgroup.procs").read_text().strip())
        folder.rmdir()
