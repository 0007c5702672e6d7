"""Disks that are full: a server whose log and temporary files find no room goes on."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from support.processes import wait_until
from support.runtime_plans import make_plan

from hexplan.model import Model

PATIENCE_S = 240.0
FULL = Path("/dev/full")
BODY = {"prompt": [1, 2, 3], "max_tokens": 6, "temperature": 0, "ignore_eos": True}


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
    llama_model: Model, llama: Path, full_folder: Path, tmp_path: Path
) -> None:
    plan, url = tmp_path / "plan.json", tmp_path / "url"
    made = make_plan(llama_model, [((0, 2), (1,)), ((2, 4), (1,))])
    plan.write_text(made.model_dump_json(by_alias=True))
    words = (sys.executable, "-m", "hexplan", "serve", plan, "--model-folder", llama)
    home = tmp_path / "run"
    home.mkdir(mode=0o700)
    places = {"TMPDIR": str(full_folder), "XDG_RUNTIME_DIR": str(home)}
    with FULL.open("w") as full, url.open("w") as out:
        server = subprocess.Popen(
            (*words, "--here", "--yes", "--port", "0"),
            env=os.environ | places,
            stdout=out,
            stderr=full,
        )
    try:
        assert wait_until(lambda: url.read_text().endswith("\n"), PATIENCE_S)
        base = url.read_text().strip()
        told = set[str]()
        for _ in range(3):
            answer = httpx.post(f"{base}/v1/completions", json=BODY, timeout=60)
            assert answer.status_code == 200, answer.text
            told.add(answer.json()["choices"][0]["text"])
        assert len(told) == 1
        assert httpx.get(f"{base}/readyz").json()["ready"]
        ended = subprocess.run(
            (sys.executable, "-m", "hexplan", "stop"), env=os.environ | places, check=False
        )
        assert ended.returncode == 0
        assert server.wait(60) == 0
        assert [path.name for path in full_folder.iterdir()] == ["filled"]
        assert not list((home / "hexplan").iterdir())
    finally:
        server.kill()
        server.wait()


@pytest.mark.slow
def test_an_unwritable_plan_leaves_no_file_where_the_disk_is_full(
    llama_model: Model, full_folder: Path, tmp_path: Path
) -> None:
    """What replan and solve write comes whole or not at all."""
    spec = tmp_path / "cluster.yaml"
    spec.write_text(SPEC)
    words = (sys.executable, "-m", "hexplan", "solve", spec, "--time-limit", "1s")
    done = subprocess.run(
        (*words, "-o", full_folder / "plan.json"), capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stderr
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in full_folder.iterdir()] == ["filled"]


SPEC = """\
version: 1
name: one
model: llama-2-7b
objective: throughput
hosts:
  - {name: ada, devices: A100-80GB-SXM}
workload: {prompt_tokens: 100, output_tokens: 100}
"""
