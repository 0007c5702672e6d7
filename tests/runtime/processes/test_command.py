"""How a child is started: here, and over ssh."""

from __future__ import annotations

import sys

import pytest

from hexplan.errors import InputError
from hexplan_runtime.processes import Here, OverSsh
from hexplan_runtime.processes.command import SSH, is_address, is_program


def test_a_module_is_run_here_with_this_python_and_one_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    command = Here().command("some.module")
    assert command.argv == (sys.executable, "-P", "-m", "some.module")
    assert command.environment["CUDA_VISIBLE_DEVICES"] == "3"
    assert command.environment["OMP_NUM_THREADS"] == "1"
    assert "CUDA_VISIBLE_DEVICES" not in Here(("PATH",)).command("some.module").environment


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        (None, "glibc.malloc.hugetlb=1"),
        ("glibc.malloc.arena_max=2", "glibc.malloc.arena_max=2:glibc.malloc.hugetlb=1"),
        ("glibc.malloc.hugetlb=0", "glibc.malloc.hugetlb=0"),
    ],
)
def test_memory_is_asked_for_in_huge_pages_unless_the_user_decides(
    monkeypatch: pytest.MonkeyPatch, asked: str | None, given: str
) -> None:
    if asked is None:
        monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    else:
        monkeypatch.setenv("GLIBC_TUNABLES", asked)
    assert Here(()).command("some.module").environment["GLIBC_TUNABLES"] == given


def test_a_module_is_run_on_a_host_by_what_follows_ssh() -> None:
    command = OverSsh("10.0.0.7", "~/venv/bin/python").command("some.module")
    assert command.argv == (*SSH, "10.0.0.7", "~/venv/bin/python", "-P", "-m", "some.module")
    assert SSH[-1] == "--"  # what follows is no option


@pytest.mark.parametrize("address", ["", "-oProxyCommand=x", "a b", "a;b", "$(a)", "a\n", "user@a"])
def test_an_address_that_ssh_or_a_shell_could_read_otherwise_is_refused(address: str) -> None:
    assert not is_address(address)
    with pytest.raises(InputError, match="found the address"):
        OverSsh(address)


@pytest.mark.parametrize("program", ["", "-c", "python3 -c", "a;b", "`a`", "a\n", "a|b"])
def test_a_program_that_a_shell_could_read_otherwise_is_refused(program: str) -> None:
    assert not is_program(program)
    with pytest.raises(InputError, match="found the program"):
        OverSsh("host", program)
