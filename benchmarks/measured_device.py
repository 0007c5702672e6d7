"""A device as fast as one thread of this machine, for the planner's formulas."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Final

import torch
from measured_links import line
from transformers import LlamaConfig

from hexplan.device import DeviceType, Efficiency
from hexplan_runtime.model.packed import Linear

ROWS: Final = (4, 8, 16, 32, 64)
"""Rows of products, to whose times a line is fitted by relative error: as many as small steps have,
in which the ways to share them cross."""


class DeviceClock:
    """Times products by the matrices of all ranks' layers, a round at a time.

    So many are in no cache, as in a step. What is measured beside, round by round, meets the same
    neighbours on the machine.
    """

    def __init__(self, config: LlamaConfig, ranks: int) -> None:
        width, channels = config.hidden_size, config.intermediate_size
        keys = 2 * config.num_key_value_heads * config.head_dim
        sizes = ((width + keys, width), (width, width), (2 * channels, width), (width, channels))
        self._sizes = sizes * ranks * config.num_hidden_layers
        self._weights = [Linear(torch.randn(size)) for size in self._sizes]
        self._best_s = dict.fromkeys(ROWS, float("inf"))

    def play_round(self) -> None:
        """Time products of all sizes once."""
        for rows, best_s in self._best_s.items():
            inputs = [torch.randn(rows, columns) for _, columns in self._sizes]
            begun_s = time.thread_time()
            for x, weight in zip(inputs, self._weights, strict=True):
                weight(x)
            self._best_s[rows] = min(best_s, time.thread_time() - begun_s)

    def device(self) -> DeviceType:
        """Return a device as fast as this thread was in the fastest round."""
        read_s, row_s = line(ROWS, list(self._best_s.values()))
        parameters = sum(outputs * inputs for outputs, inputs in self._sizes)
        return DeviceType(
            name="core",
            kind="cpu",
            memory_bytes=2 << 30,
            memory_bandwidth_bytes_per_s=round(4 * parameters / read_s),
            compute_flops_per_s=round(2 * parameters / row_s),
            efficiency=Efficiency(compute=Decimal(1), bandwidth=Decimal(1), origin="this run"),
            origin="measured by this run",
        )
