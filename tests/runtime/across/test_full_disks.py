"""Disks that are full: a server whose log and temporary files find no room goes on."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from support.local_plan import BODY, solve_here
from support.processes import wait_until

PATIENCE_S = 240.0
FULL = Path("/dev/full")


@pytest.fixture
def full_folder(tmp_path: Path) -> Iterator[Path]:
    """Give a folder on a disk of its own that is full."""
    folder = tmp_path / "full"
    folder.mkdir()
    mount = ("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder))
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("a small disk of its own needs root, and a kernel that mounts tmpfs")
    try:
        with pytest.raises(OSError, match="No space"):
            (folder / "filled").write_bytes(bytes(2**20))
        yield folder
    finally:
        subprocess.run(("umount", "-l", str(folder)), check=True)


@pytest.mark.slow
@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
def test_a_server_goes_on_without_room_for_its_log_and_its_temporary_files(
    full_folder: Path, tmp_path: Path
) -> None:
    plan, url, home = (tmp_path / name for name in ("plan.json", "url", "run"))
    assert solve_here(plan).returncode == 0
    home.mkdir(mode=0o700)
    places = os.environ | {"TMPDIR": str(full_folder), "XDG_RUNTIME_DIR": str(home)}
    hexplan = (sys.executable, "-m", "hexplan")
    with FULL.open("w") as full, url.open("w") as out:
        words = (*hexplan, "serve", plan, "--yes", "--port", "0")
        server = subprocess.Popen(words, env=places, stdout=out, stderr=full)
    try:
        assert wait_until(lambda: url.read_text().endswith("\n"), PATIENCE_S)
        base = url.read_text().strip()
        told = set[str]()
        for _ in range(3):
            answer = httpx.post(f"{base}/v1/completions", json=BODY, timeout=60)
            assert answer.status_code == 200, answer.text
            told.add(answer.json()["choices"][0]["text"])
        assert len(told) == 1
        assert subprocess.run((*hexplan, "stop"), env=places, check=False).returncode == 0
        assert server.wait(60) == 0
        assert [path.name for path in full_folder.iterdir()] == ["filled"]
        assert not list((home / "hexplan").iterdir())
    finally:
        server.kill()
        server.wait()


@pytest.mark.slow
def test_a_plan_for_which_there_is_no_room_leaves_no_torn_file(full_folder: Path) -> None:
    done = solve_here(full_folder / "plan.json")
    assert done.returncode == 2, done.stderr
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in full_folder.iterdir()] == ["filled"]
