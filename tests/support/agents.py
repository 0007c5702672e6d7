"""Hosts that are this machine at several addresses of the loopback interface, reached as by ssh."""

from __future__ import annotations

from pathlib import Path

MARK = "HEXPLAN_TEST_HOST"
"""A variable of each agent's environment, with the address that it was reached at."""
REFUSING, ELSEWHERE, CHATTY = "127.0.0.66", "192.0.2.7", "127.0.0.4"


def fake_ssh(folder: Path) -> Path:
    """Write a program that runs a command here as if it were at an address.

    Nobody answers at `REFUSING`; the shell at `CHATTY` greets whoever comes.
    """
    script = folder / "ssh"
    script.write_text(
        "#!/bin/sh\n"
        f'if [ "$1" = {REFUSING} ]; then\n'
        '  echo "ssh: connect to host $1 port 22: Connection refused" >&2; exit 255\n'
        "fi\n"
        f'if [ "$1" = {CHATTY} ]; then echo "Welcome to $1"; fi\n'
        f'export {MARK}="$1"\n'
        'shift\nexec "$@"\n'
    )
    script.chmod(0o755)
    return script


def mark(address: str) -> str:
    """Return the variable of the agents at an address as `NAME=value`."""
    return f"{MARK}={address}"
