"""What a probe refuses to put into a command, or to let a host listen at."""

from __future__ import annotations

import pytest

from hexplan.errors import InputError
from hexplan_runtime.probe import HostAddress, Reach

MODULE = "hexplan_runtime.probe.agent"


@pytest.mark.parametrize(
    ("place", "python", "phrase"),
    [
        (HostAddress("h", "8.8.8.8"), "python3", "h: found the public address 8.8.8.8"),
        (HostAddress("h", "-oProxyCommand=id"), "python3", "needed an IP or DNS name"),
        (HostAddress("h", "a b"), "python3", "needed an IP or DNS name"),
        (HostAddress("h", "$(id)"), "python3", "needed an IP or DNS name"),
        (HostAddress("h", "10.0.0.1"), "python3; id", "--python: found python3; id"),
        (HostAddress("h", "10.0.0.1"), "-c", "--python: found -c"),
        (HostAddress("h", "10.0.0.1"), "", "--python: found , needed the path of a program"),
    ],
)
def test_what_must_not_stand_in_a_command_is_refused(
    place: HostAddress, python: str, phrase: str
) -> None:
    with pytest.raises(InputError) as caught:
        Reach(python=python).check(place)
    assert phrase in caught.value.message


@pytest.mark.parametrize("python", ["python3.11", "~/venv/bin/python", "/opt/py+c/bin/python"])
def test_the_path_of_a_python_reaches_the_command_as_it_is(python: str) -> None:
    reach, place = Reach(("ssh", "--"), python), HostAddress("h", "10.0.0.1")
    reach.check(place)
    command = ("ssh", "--", "10.0.0.1", python, "-P", "-m", MODULE)
    assert reach.starter(place).command(MODULE).argv == command


def test_a_public_address_may_be_allowed() -> None:
    Reach(may_be_public=True).check(HostAddress("h", "8.8.8.8"))
    Reach().check(HostAddress("h", "host.example.org"))  # the host itself looks it up, and judges
