"""Hosts that have nothing but Python, and get hexplan over ssh."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support.ssh_hosts import SshHosts

from hexplan.errors import InputError
from hexplan.plan import Plan
from hexplan_runtime.launch.places import Hosts
from hexplan_runtime.launch.prepare import Prepared, prepare_hosts
from hexplan_runtime.probe.reach import Reach

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a real wheel of this source."""
    folder = tmp_path_factory.mktemp("wheel")
    words = (sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder))
    subprocess.run([*words, str(ROOT)], check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def prepared(hosts: SshHosts, plan: Plan, wheel: Path, python: str) -> list[Prepared]:
    """Prepare all hosts from this namespace, which reaches them through the desk's."""
    ssh = (*hosts.network.at_desk(), *hosts.ssh)
    reach = Hosts(Reach(ssh, python))
    return list(prepare_hosts(plan, reach, wheel, alone=True))


@pytest.mark.slow
def test_a_wheel_is_installed_once(hosts: SshHosts, plan: Plan, wheel: Path) -> None:
    for state in ("installed", "there"):
        found = prepared(hosts, plan, wheel, sys.executable)
        assert [one.outcome.state for one in found] == [state, state], found
    for index, one in enumerate(found):
        assert Path(one.outcome.python).is_relative_to(hosts.folder / f"home-{index}")
        words = (one.outcome.python, "-m", "pip", "show", "hexplan")
        shown = subprocess.run(words, check=True, capture_output=True, text=True).stdout
        assert f"Location: {hosts.folder / f'home-{index}'}" in shown


def test_a_host_without_that_python_is_named_with_what_helps(
    hosts: SshHosts, plan: Plan, tmp_path: Path
) -> None:
    wheel = tmp_path / "hexplan-0.0-py3-none-any.whl"
    wheel.write_bytes(b"PK")
    for one in prepared(hosts, plan, wheel, "/nowhere/python"):
        assert one.outcome.state == "failed"
        assert "/nowhere/python" in one.outcome.problem
        assert one.hint is not None
        assert "is there a Python of this name" in one.hint


@pytest.mark.parametrize("name", ["model.whl", "hexplan-1.zip"])
def test_other_files_than_a_wheel_of_hexplan_are_refused(
    plan: Plan, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_bytes(b"PK")
    with pytest.raises(InputError, match="needed a wheel of hexplan"):
        list(prepare_hosts(plan, Hosts(), tmp_path / name, alone=True))
