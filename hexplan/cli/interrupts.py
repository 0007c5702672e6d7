"""Let the first Ctrl-C end a search early, instead of the program.

What interrupts a program may be caught on its way, as by a library that is being imported. So it is
asked again, before anything begins that takes long, whether the program is to end.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

signals: list[int] = []
"""The signals that asked this process to end, in order of arrival."""


def end_if_asked() -> None:
    """Interrupt this program if it was asked to end, and whoever caught that went on.

    Raises
    ------
    KeyboardInterrupt
        It was.
    """
    if signals:
        raise KeyboardInterrupt


@contextmanager
def stop_on_interrupt() -> Iterator[threading.Event]:
    """Yield an event that the first SIGINT sets; the second one interrupts as usual."""
    end_if_asked()
    stop = threading.Event()

    def on_interrupt(signum: int, frame: FrameType | None) -> None:
        stop.set()
        signal.signal(signal.SIGINT, previous)

    previous = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, previous)
