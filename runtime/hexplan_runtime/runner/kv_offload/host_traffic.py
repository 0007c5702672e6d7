"""What a leader tells of its traffic with host memory, while it serves."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Thread
from typing import Final, NoReturn

from hexplan.frozen_model import FrozenModel
from hexplan_runtime.runner.kv_offload.host_link import HostLink

_INTERVAL_S: Final = 0.5


class HostTraffic(FrozenModel):
    """What the leader of a stage has moved to host memory and back so far."""

    stage: str
    """Its id."""
    fetched_bytes: int
    """Keys and values that came from there."""
    ahead_bytes: int
    """What of that was asked for a layer ahead."""
    stored_bytes: int
    """Keys and values that went there."""
    waited_s: float
    """Seconds that layers waited for an emulated link."""


def tell_traffic(stage: str, link: HostLink, tell: Callable[[HostTraffic], None]) -> None:
    """Tell of what has crossed a link whenever that has changed, in a thread of its own."""

    def run() -> NoReturn:
        told = traffic_of(stage, link)
        while True:
            time.sleep(_INTERVAL_S)
            now = traffic_of(stage, link)
            if now != told:
                tell(now)
                told = now

    Thread(target=run, daemon=True, name="traffic").start()


def traffic_of(stage: str, link: HostLink) -> HostTraffic:
    """Return what has crossed a link so far."""
    return HostTraffic(
        stage=stage,
        fetched_bytes=link.fetched_bytes,
        ahead_bytes=link.ahead_bytes,
        stored_bytes=link.stored_bytes,
        waited_s=link.waited_s,
    )
