"""The link from host memory to a device: what goes over it, and on an emulated one how long.

On a GPU, copies take what they take. Where host and device are one memory, a link can be emulated:
whoever waits for it computes nothing meanwhile, and takes no processor time.
"""

from __future__ import annotations

import os
import time
from typing import Final

from hexplan.errors import InputError
from hexplan.units import QuantityError, parse_bandwidth
from hexplan.wording import found

EMULATED_HOST_LINK: Final = "HEXPLAN_EMULATED_HOST_LINK"
"""The variable that slows what a stage fetches from host memory down, such as `2GB/s`: for
trials."""


class HostLink:
    """Counts what crosses the link, one transfer after another.

    Parameters
    ----------
    bytes_per_s
        The rate of an emulated link; None if the copies themselves take the time.
    """

    def __init__(self, bytes_per_s: float | None = None) -> None:
        self._bytes_per_s = bytes_per_s
        self._free_s = 0.0
        self.fetched_bytes = 0
        """Keys and values that went to the device."""
        self.ahead_bytes = 0
        """What of that was asked for a layer ahead."""
        self.stored_bytes = 0
        """Keys and values that came from the device."""
        self.waited_s = 0.0
        """Seconds that layers have waited for what they asked for."""

    def begin(self, num_bytes: int, *, is_ahead: bool) -> float:
        """Ask for some bytes, and return when they are there, in seconds of `time.monotonic`."""
        self.fetched_bytes += num_bytes
        self.ahead_bytes += num_bytes * is_ahead
        now_s = time.monotonic()
        if self._bytes_per_s is None:
            return now_s
        self._free_s = max(now_s, self._free_s) + num_bytes / self._bytes_per_s
        return self._free_s

    def wait(self, until_s: float) -> None:
        """Wait until something is there."""
        late_s = until_s - time.monotonic()
        if late_s > 0:
            self.waited_s += late_s
            time.sleep(late_s)

    def store(self, num_bytes: int) -> None:
        """Count what goes to host memory; links carry as much in the other direction meanwhile."""
        self.stored_bytes += num_bytes


def host_link() -> HostLink:
    """Return the link, at the rate that is to be emulated if one is.

    Raises
    ------
    InputError
        The variable says something else than a bandwidth.
    """
    asked = os.environ.get(EMULATED_HOST_LINK)
    if asked is None:
        return HostLink()
    try:
        return HostLink(parse_bandwidth(asked))
    except QuantityError as error:
        message = f"{EMULATED_HOST_LINK}: found {found(asked)}, needed a bandwidth such as 2GB/s"
        raise InputError(message) from error
