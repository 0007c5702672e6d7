from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from types import FrameType

import pytest

from hexplan.errors import InputError, SpecError
from hexplan.files.bounded import read_bounded, write_atomically


def test_a_text_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_atomically(path, "one\ntwo \N{GREEK SMALL LETTER PI}\n")
    assert read_bounded(path, 100) == "one\ntwo \N{GREEK SMALL LETTER PI}\n"


def test_bytes_are_written_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    write_atomically(path, b"\x89\r\n\x00")
    assert path.read_bytes() == b"\x89\r\n\x00"


def test_the_limit_is_the_largest_size_allowed(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("12345")
    assert read_bounded(path, 5) == "12345"
    with pytest.raises(InputError, match="larger than 4 bytes"):
        read_bounded(path, 4)


def test_an_endless_stream_of_the_caller_is_refused() -> None:
    refused = pytest.raises(InputError, match="larger than 1000 bytes")
    with Path("/dev/zero").open("rb") as zero, refused:
        read_bounded(Path(f"/dev/fd/{zero.fileno()}"), 1000)


def test_a_pipe_of_the_caller_is_read_to_its_end() -> None:
    read_end, write_end = os.pipe()
    os.write(write_end, b"piped")
    os.close(write_end)
    assert read_bounded(Path(f"/dev/fd/{read_end}"), 1000) == "piped"
    os.close(read_end)


@pytest.mark.timeout(10)
def test_a_fifo_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(InputError, match="found a FIFO, needed a regular file"):
        read_bounded(tmp_path / "fifo", 1000)


def test_a_link_to_a_fifo_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "plan.json").symlink_to("fifo")
    with pytest.raises(InputError, match="found a FIFO"):
        read_bounded(tmp_path / "plan.json", 1000)


def test_a_device_is_refused() -> None:
    with pytest.raises(InputError, match="found a device, needed a regular file"):
        read_bounded(Path("/dev/zero"), 1000)


@pytest.mark.parametrize(
    ("name", "phrase"),
    [
        ("missing.txt", "No such file or directory"),
        ("folder", "Is a directory"),
        ("file/below", "Not a directory"),
        ("nul\0byte", "null byte"),
        ("n" * 300, "File name too long"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_the_reason(
    tmp_path: Path, name: str, phrase: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(InputError) as caught:
        read_bounded(tmp_path / name, 100)
    assert str(tmp_path / name) in caught.value.message
    assert phrase in caught.value.message


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.touch(mode=0)
    with pytest.raises(InputError, match="Permission denied"):
        read_bounded(path, 100)


def test_text_that_is_not_utf_8_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "latin.txt"
    path.write_bytes(b"a\nb\n\xe9\n")
    with pytest.raises(SpecError) as caught:
        read_bounded(path, 100)
    assert caught.value.where == f"{path}:3"


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text("a long old text")
    write_atomically(path, "new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_a_link_to_the_new_text(tmp_path: Path) -> None:
    (tmp_path / "real.json").write_text("old")
    (tmp_path / "link.json").symlink_to("real.json")
    write_atomically(tmp_path / "link.json", "new")
    assert (tmp_path / "link.json").is_symlink()
    assert (tmp_path / "real.json").read_text() == "new"


def test_a_device_is_written_to_and_not_replaced() -> None:
    write_atomically(Path("/dev/null"), "nothing")
    assert Path("/dev/null").is_char_device()


def test_a_new_file_has_the_rights_that_the_umask_grants(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "plan.json", "{}")
    finally:
        os.umask(before)
    assert (tmp_path / "plan.json").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    ("name", "phrase"),
    [("missing/plan.json", "No such file or directory"), ("file/plan.json", "Not a directory")],
)
def test_a_file_that_cannot_be_written_is_named_with_the_reason(
    tmp_path: Path, name: str, phrase: str
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError) as caught:
        write_atomically(tmp_path / name, "text")
    assert str(tmp_path / name) in caught.value.message
    assert phrase in caught.value.message


def test_text_that_no_file_can_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot write it"):
        write_atomically(tmp_path / "plan.json", "\ud800")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_the_old_text_and_no_rubbish(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "plan.json"
    path.write_text("old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space left on device"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


class Stopped(Exception):
    """Raised by a test's signal handler."""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_writing_waits_for_the_file_to_be_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    path = tmp_path / "plan.json"
    sync = os.fsync

    def sync_while_a_signal_arrives(descriptor: int) -> None:
        os.kill(os.getpid(), number)
        sync(descriptor)

    def stop(number: int, frame: FrameType | None) -> None:
        raise Stopped

    monkeypatch.setattr(os, "fsync", sync_while_a_signal_arrives)
    before = signal.signal(number, stop)
    try:
        with pytest.raises(Stopped):
            write_atomically(path, "new")
    finally:
        signal.signal(number, before)
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_signal_that_another_thread_takes_waits_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "plan.json"
    done = threading.Event()
    other = threading.Thread(target=done.wait)
    sync = os.fsync

    def sync_while_a_signal_arrives(descriptor: int) -> None:
        assert other.ident is not None
        signal.pthread_kill(other.ident, signal.SIGTERM)
        sync(descriptor)

    def stop(number: int, frame: FrameType | None) -> None:
        raise Stopped

    monkeypatch.setattr(os, "fsync", sync_while_a_signal_arrives)
    before = signal.signal(signal.SIGTERM, stop)
    other.start()
    try:
        with pytest.raises(Stopped):
            write_atomically(path, "new")
    finally:
        done.set()
        other.join()
        signal.signal(signal.SIGTERM, before)
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_thread_beside_the_main_one_can_write(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    thread = threading.Thread(target=write_atomically, args=(path, "new"))
    thread.start()
    thread.join()
    assert path.read_text() == "new"


def test_signals_mean_after_writing_what_they_meant_before(tmp_path: Path) -> None:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    write_atomically(tmp_path / "plan.json", "new")
    assert [signal.getsignal(number) for number in numbers] == before


def test_a_failure_of_our_own_leaves_no_rubbish(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(descriptor: int) -> None:
        raise Stopped

    monkeypatch.setattr(os, "fsync", stop)
    with pytest.raises(Stopped):
        write_atomically(tmp_path / "plan.json", "new")
    assert list(tmp_path.iterdir()) == []
