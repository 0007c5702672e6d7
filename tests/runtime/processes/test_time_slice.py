"""Time slices: what Linux says of the thread that asked for a longer one."""

from __future__ import annotations

import platform
import re
from pathlib import Path
from threading import Thread, get_native_id

import pytest

from hexplan_runtime.processes.time_slice import yield_to_messages

SCHED = Path("/proc/self/sched")


@pytest.mark.skipif(not SCHED.exists(), reason="the kernel tells nobody of slices")
@pytest.mark.skipif(platform.machine() != "x86_64", reason="slices are tried on x86-64 alone")
def test_a_thread_that_makes_way_has_a_longer_slice_and_others_keep_theirs() -> None:
    found: dict[str, int] = {}

    def ask() -> None:
        found["before"] = _slice_ns()
        yield_to_messages()
        found["after"] = _slice_ns()

    thread = Thread(target=ask)
    thread.start()
    thread.join()
    if found["after"] == found["before"]:
        pytest.skip("this kernel has one slice for all")
    assert found["after"] > found["before"]
    assert _slice_ns() == found["before"]


def _slice_ns() -> int:
    text = Path(f"/proc/self/task/{get_native_id()}/sched").read_text()
    stated = re.search(r"^se\.slice\s*:\s*(\d+)", text, re.MULTILINE)
    return int(stated[1]) if stated else 0
