"""Clocks: how long a function takes on a kind of device."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

import torch

from hexplan_runtime.measure.devices import DeviceKind
from hexplan_runtime.net.team import Team

Clock: TypeAlias = Callable[[Callable[[], object]], float]
"""Runs something, and returns its seconds."""


_SCHEDULED: Final = Path("/proc/thread-self/schedstat")
"""What Linux tells of the calling thread: nanoseconds for which it ran, for which it was ready and
did not, and how often it was begun."""


def clock_of(kind: DeviceKind, team: Team) -> Clock:
    """Return the clock of steps that the ranks of a team run together, on devices of a kind.

    A processor by itself does all in one thread and waits for nobody, so the time of that thread
    counts: what else the machine does then lengthens no step. Ranks of a group wait for each other,
    so that it is time on the wall, less that for which a rank was ready and another program ran.
    """
    if kind == "cuda":
        return _cuda_s
    return _thread_s if team.size == 1 else partial(_together_s, team)


def clock_between_steps(kind: DeviceKind, team: Team) -> Clock:
    """Return the clock of what several threads of a rank do in turn."""
    if kind == "cuda":
        return _wall_s
    return _process_s if team.size == 1 else partial(_together_s, team)


def _thread_s(run: Callable[[], object]) -> float:
    begun_s = time.thread_time()
    run()
    return time.thread_time() - begun_s


def _process_s(run: Callable[[], object]) -> float:
    begun_s = time.process_time()
    run()
    return time.process_time() - begun_s


def _wall_s(run: Callable[[], object]) -> float:
    begun_s = time.perf_counter()
    run()
    return time.perf_counter() - begun_s


def _together_s(team: Team, run: Callable[[], object]) -> float:
    """Return the time on the wall without the waits of all ranks for their processors, added up.

    One rank's wait is every rank's, as they meet several times a layer. Waits at the same time
    count twice, so it is no less than the time for which a rank ran.
    """
    waited_s, ran_s = _waited_s(), time.thread_time()
    wall_s = _wall_s(run)
    ran_s, waited_s = time.thread_time() - ran_s, _waited_s() - waited_s
    every_R2 = torch.zeros(team.size, 2, dtype=torch.float64, device="cpu")
    every_R2[team.rank] = torch.tensor([ran_s, waited_s], dtype=torch.float64, device="cpu")
    ran_R, waits_R = team.sum(every_R2).unbind(1)
    return max(wall_s - float(waits_R.sum()), float(ran_R.max()))


def _waited_s() -> float:
    """Return for how long this thread was ready and did not run; 0 where nobody tells."""
    try:
        return int(_SCHEDULED.read_text(encoding="ascii").split()[1]) / 1e9
    except OSError:
        return 0.0


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
