"""Copies between a device and host memory that go on beside kernels.

On a GPU they wait in a stream of their own, through pinned memory; where device and host are one,
there is nothing to wait for. (The GPU's part is written and has never run.)
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Told:
    """A tensor on its way to host memory."""

    x: Tensor
    event: torch.cuda.Event | None

    def read(self) -> Tensor:
        """Return it as soon as it is there."""
        if self.event is not None:
            self.event.synchronize()
        return self.x


@dataclass(frozen=True, slots=True)
class Sent:
    """A tensor on its way to a device."""

    x: Tensor
    event: torch.cuda.Event | None

    def read(self) -> Tensor:
        """Return it for kernels that are launched from now on."""
        if self.event is not None:
            stream = torch.cuda.current_stream()
            stream.wait_event(self.event)
            self.x.record_stream(stream)
        return self.x


def tell_host(x: Tensor) -> Told:
    """Begin to copy a tensor to host memory."""
    if not x.is_cuda:
        return Told(x, None)
    host = torch.empty(x.shape, dtype=x.dtype, device="cpu", pin_memory=True)
    host.copy_(x, non_blocking=True)
    event = torch.cuda.Event()  # type: ignore[no-untyped-call]
    event.record()
    return Told(host, event)


def send_rows(x_NE: Tensor, rows_n: Tensor, device: torch.device) -> Sent:
    """Gather rows in host memory, and begin to copy them to a device: `[n, E]`."""
    if device.type != "cuda":
        return Sent(x_NE.index_select(0, rows_n).to(device), None)
    shape = len(rows_n), x_NE.shape[1]
    host = torch.empty(shape, dtype=x_NE.dtype, device="cpu", pin_memory=True)
    torch.index_select(x_NE, 0, rows_n, out=host)
    stream = _stream(device)
    with torch.cuda.stream(stream):
        return Sent(host.to(device, non_blocking=True), stream.record_event())


@cache
def _stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
