"""What a device fetches from host memory: pages of keys and values, as a launch gathers them.

On a GPU that is a copy through pinned memory in a stream of its own, which was written and has
never run. Where device and host are one memory, it is the copy from one tensor to another.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import torch

from hexplan.constants import PAGE_TOKENS
from hexplan_runtime.measure.devices import DeviceKind
from hexplan_runtime.model.kv_cache import KvShape
from hexplan_runtime.runner.kv_offload.crossing import send_rows

_HELD: Final = 4
"""How many times as many tokens host memory holds as are fetched: they are not in a cache then."""


def host_fetch(shape: KvShape, tokens: int, kind: DeviceKind) -> Callable[[], None]:
    """Return what fetches the keys and values of some tokens in one layer, by whole pages."""
    device = torch.device(kind)
    heads, slots = shape.kv_heads, _HELD * tokens
    held = [
        torch.randn(heads * slots, shape.head_dim, device="cpu").to(shape.dtype)
        for _ in ("keys", "values")
    ]
    pages = torch.randperm(heads * slots // PAGE_TOKENS, device="cpu")
    pages = pages[: heads * tokens // PAGE_TOKENS]
    steps = torch.arange(PAGE_TOKENS, device="cpu")
    rows = (pages[:, None] * PAGE_TOKENS + steps).flatten()

    def run() -> None:
        for sent in [send_rows(x_NE, rows, device) for x_NE in held]:
            sent.read()

    return run
