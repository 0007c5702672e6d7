"""Sums over a team that go on while the caller computes: one after another, in a thread."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

import torch
from torch import Tensor


class Pending(Protocol):
    """A sum that is under way."""

    def result(self) -> Tensor:
        """Wait for the sum, and return it."""
        ...


class LaneSums(Protocol):
    """Begins sums, which all ranks of a team must do in the same order."""

    def start(self, x: Tensor) -> Pending:
        """Begin to sum x up over the team; it may be overwritten."""
        ...


class ThreadSums:
    """Sums up in a thread of its own, in the order in which sums were begun.

    So no two are under way at once, and no order of theirs can block the ranks. Waiting for other
    ranks takes no lock that computing needs.

    Parameters
    ----------
    sum_up
        Returns the sum of a tensor over the team.
    """

    def __init__(self, sum_up: Callable[[Tensor], Tensor]) -> None:
        self._sum_up = sum_up
        self._thread = ThreadPoolExecutor(1, "sums", initializer=_use_one_core)

    def start(self, x: Tensor) -> Future[Tensor]:
        """Begin to sum x up over the team."""
        return self._thread.submit(self._run, x)

    def _run(self, x: Tensor) -> Tensor:
        with torch.inference_mode():
            return self._sum_up(x)


def _use_one_core() -> None:
    """Keep this thread to one core, as a rank stands for one device."""
    torch.set_num_threads(1)
