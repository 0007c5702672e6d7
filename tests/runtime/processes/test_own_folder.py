"""A launch's own folder: those of killed launches go, and no other one is touched."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from hexplan_runtime.processes import OwnFolder

KEEP_ONE = """
import sys
from hexplan_runtime.processes import OwnFolder
print(OwnFolder().path, flush=True)
sys.stdin.read()
"""


def test_folders_of_killed_launches_go_and_others_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    strange = tmp_path / "hexplan-of-nobody"
    strange.mkdir()
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", KEEP_ONE], stdin=pipe, stdout=pipe) as other:
        assert other.stdout is not None
        theirs = Path(other.stdout.readline().decode().strip())
        first = OwnFolder()
        assert theirs.exists()
        other.kill()
        other.wait()
    second = OwnFolder()
    assert [theirs.exists(), first.path.exists(), strange.exists()] == [False, True, True]
    assert first.path.stat().st_mode & 0o777 == 0o700
    for folder in (first, second):
        folder.remove()
        folder.remove()
    assert list(tmp_path.iterdir()) == [strange]
