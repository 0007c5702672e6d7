"""Clocks: how long a function takes on a kind of device."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeAlias

import torch

from hexplan_runtime.measure.devices import DeviceKind

Clock: TypeAlias = Callable[[Callable[[], object]], float]
"""Runs something, and returns its seconds."""


def clock_of(kind: DeviceKind, size: int) -> Clock:
    """Return the clock of groups of so many devices of a kind.

    A processor by itself does all in one thread and waits for nobody, so the time of that thread
    counts: what else the machine does then lengthens no step. Ranks of a group wait for each other.
    """
    if kind == "cuda":
        return _cuda_s
    return _thread_s if size == 1 else _wall_s


def _thread_s(run: Callable[[], object]) -> float:
    begun_s = time.thread_time()
    run()
    return time.thread_time() - begun_s


def _wall_s(run: Callable[[], object]) -> float:
    begun_s = time.perf_counter()
    run()
    return time.perf_counter() - begun_s


def _cuda_s(run: Callable[[], object]) -> float:
    """Return the time between two events in the device's stream, as calls only queue work there."""
    begun = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    ended = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    torch.cuda.synchronize()
    begun.record()
    run()
    ended.record()
    torch.cuda.synchronize()
    return float(begun.elapsed_time(ended)) / 1e3
