"""A server has as many open files as its connections need, or says that it may not."""

from __future__ import annotations

import subprocess
import sys

import pytest

CALL = """
import resource, sys
from hexplan.errors import InputError
from hexplan_runtime.serve.http.descriptors import allow_descriptors
soft, hard, connections = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
try:
    allow_descriptors(connections)
except InputError as error:
    print(error.message, error.hint)
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


def called(*limits: int) -> str:
    """Call it in a process of its own, where limits may be lowered for good."""
    command = [sys.executable, "-c", CALL, *map(str, limits)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ((300, 4000, 2048), "2304\n"),  # too few, and more are allowed
        ((3000, 4000, 2048), "3000\n"),  # enough already
    ],
)
def test_the_limit_is_raised_as_far_as_needed(limits: tuple[int, ...], expected: str) -> None:
    assert called(*limits) == expected


def test_a_limit_that_cannot_be_raised_names_what_would_do() -> None:
    told = called(300, 1024, 2048)
    assert "--max-connections 2048 needs 2304 open files, this user may have 1024" in told
    assert "`--max-connections 768`" in told
    assert told.endswith("\n300\n")
