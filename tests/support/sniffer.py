"""Write what passes a network device: `python sniffer.py DEVICE FILE`, till stdin ends."""

from __future__ import annotations

import select
import socket
import sys
from pathlib import Path

ALL_PROTOCOLS = 3
"""ETH_P_ALL of <linux/if_ether.h>, in network order below."""


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
