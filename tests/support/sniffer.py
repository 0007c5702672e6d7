"""Write what passes a network device: `python sniffer.py DEVICE FILE`, till stdin ends.

`capture` does so on a host of a test network.
"""

from __future__ import annotations

import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ALL_PROTOCOLS = 3
"""ETH_P_ALL of <linux/if_ether.h>, in network order below."""


@contextmanager
def capture(namespace: str, frames: Path) -> Iterator[None]:
    """Write the frames that pass the device of a host meanwhile."""
    words = ("ip", "netns", "exec", namespace, sys.executable, __file__, "eth", str(frames))
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as sniffer:
        assert sniffer.stdout is not None
        assert sniffer.stdin is not None
        assert sniffer.stdout.readline() == b"listening\n"
        yield
        sniffer.stdin.close()
        assert sniffer.wait(30) == 0


def main() -> None:
    """Write every frame."""
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL_PROTOCOLS))
    raw.bind((sys.argv[1], 0))
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**24)
    print("listening", flush=True)
    with Path(sys.argv[2]).open("wb") as file:
        while True:
            ready, _, _ = select.select([raw, sys.stdin], [], [])
            if raw in ready:
                file.write(raw.recv(65536))
            elif sys.stdin in ready:
                return


if __name__ == "__main__":
    main()
