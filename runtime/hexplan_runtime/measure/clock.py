"""Clocks: how long a function takes on a kind of device."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeAlias

import torch

from hexplan_runtime.measure.devices import DeviceKind

Clock: TypeAlias = Callable[[Callable[[], object]], float]
"""Runs something, and returns its seconds."""


def clock_of(kind: DeviceKind) -> Clock:
    """Return the clock of a kind of device."""
    return _cuda_s if kind == "cuda" else _cpu_s


def _cpu_s(run: Callable[[], object]) -> float:
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
