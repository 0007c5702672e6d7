"""Which addresses this machine may listen at."""

from __future__ import annotations

import socket
from ipaddress import ip_address

import pytest

from hexplan.errors import InputError
from hexplan_runtime.net.addresses import is_public, local_address


@pytest.mark.parametrize(
    ("name", "address"), [("127.0.0.1", "127.0.0.1"), ("127.0.0.9", "127.0.0.9")]
)
def test_an_address_of_this_machine_stands_for_itself(name: str, address: str) -> None:
    assert local_address(name, may_be_public=False) == address


def test_a_name_is_looked_up() -> None:
    assert ip_address(local_address("localhost", may_be_public=False)).is_loopback


@pytest.mark.parametrize(
    ("name", "phrase"),
    [
        ("192.0.2.7", "192.0.2.7 is no address of this machine"),  # kept for documentation
        ("0.0.0.0", "means every address of this machine, needed one of them"),  # noqa: S104
        ("::", "means every address of this machine, needed one of them"),
        ("no-such-host.invalid", "no-such-host.invalid: cannot find its address"),
        ("a" * 300, "cannot find its address"),  # longer than DNS allows
    ],
)
def test_what_is_no_single_address_of_this_machine_is_refused(name: str, phrase: str) -> None:
    with pytest.raises(InputError) as caught:
        local_address(name, may_be_public=True)
    assert phrase in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("10.1.2.3", False),
        ("192.168.0.1", False),
        ("127.0.0.1", False),
        ("100.64.0.1", False),  # shared by a provider's customers, and by VPNs
        ("169.254.1.1", False),
        ("fd00::1", False),
        ("fe80::1", False),
        ("8.8.8.8", True),
        ("2001:4860:4860::8888", True),
        ("::ffff:8.8.8.8", True),  # the same as 8.8.8.8
        ("::ffff:10.0.0.1", False),
    ],
)
def test_public_addresses_are_told_from_private_ones(address: str, expected: bool) -> None:
    assert is_public(ip_address(address)) is expected


def test_a_public_address_of_this_machine_is_refused_unless_allowed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No machine of ours has one, so the sockets are told that it does."""
    monkeypatch.setattr(socket, "create_server", lambda *_args, **_options: socket.socket())
    with pytest.raises(InputError, match=r"8.8.8.8 is a public address") as caught:
        local_address("8.8.8.8", may_be_public=False)
    assert "--allow-public" in (caught.value.hint or "")
    assert local_address("8.8.8.8", may_be_public=True) == "8.8.8.8"
