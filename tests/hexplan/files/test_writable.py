"""An output is refused early exactly where it could not be written later."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hexplan.errors import InputError
from hexplan.files.bounded import write_atomically
from hexplan.files.writable import require_writable


def test_a_missing_folder_is_told_with_the_command_that_creates_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="-o: found .*plan.json, but there is no folder") as caught:
        require_writable("-o", tmp_path / "a" / "b" / "plan.json")
    assert caught.value.hint == f"create it: `mkdir -p {tmp_path / 'a' / 'b'}`"


@pytest.mark.parametrize("name", ["new.json", "old.json", "link.json", "dangling.json"])
def test_what_can_be_written_is_accepted_and_left_as_it_is(tmp_path: Path, name: str) -> None:
    (tmp_path / "old.json").write_text("old")
    (tmp_path / "link.json").symlink_to(tmp_path / "old.json")
    (tmp_path / "dangling.json").symlink_to(tmp_path / "missing.json")
    before = sorted(path.name for path in tmp_path.iterdir())
    require_writable("-o", tmp_path / name)
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert (tmp_path / "old.json").read_text() == "old"
    write_atomically(tmp_path / name, "new")
    assert (tmp_path / name).read_text() == "new"


@pytest.mark.parametrize("name", ["", "folder", "file/plan.json", "x" * 300, "-"])
def test_what_cannot_be_written_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError):
        require_writable("-o", tmp_path / name)


def test_a_folder_that_takes_no_files_is_refused_even_for_root() -> None:
    with pytest.raises(InputError, match="-o: found /proc/plan.json, which cannot be written"):
        require_writable("-o", Path("/proc/plan.json"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to every file")
@pytest.mark.parametrize("locked", ["folder", "file"])
def test_permissions_are_kept(tmp_path: Path, locked: str) -> None:
    target = tmp_path / "plan.json"
    target.write_text("old")
    (tmp_path if locked == "folder" else target).chmod(0o555)
    try:
        with pytest.raises(InputError, match="Permission denied"):
            require_writable("-o", target)
    finally:
        tmp_path.chmod(0o755)


def test_a_device_is_accepted() -> None:
    require_writable("-o", Path("/dev/null"))
