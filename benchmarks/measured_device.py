"""A device as fast as one thread of this machine, for the planner's formulas."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Final

import torch
from transformers import LlamaConfig

from hexplan.device import DeviceType, Efficiency
from hexplan_runtime.model.packed import Linear

ROWS: Final = (16, 32, 64, 128, 256)
"""Rows of products, to whose times a line is fitted by relative error."""


def measured_device(config: LlamaConfig, ranks: int, rounds: int) -> DeviceType:
    """Return a device as fast as this thread multiplies by the matrices of all ranks' layers.

    So many are in no cache, as in a step.
    """
    width, channels = config.hidden_size, config.intermediate_size
    keys = 2 * config.num_key_value_heads * config.head_dim
    sizes = ((width + keys, width), (width, width), (2 * channels, width), (width, channels))
    sizes *= ranks * config.num_hidden_layers
    weights = [Linear(torch.randn(size)) for size in sizes]

    def seconds(rows: int) -> float:
        inputs = [torch.randn(rows, columns) for _, columns in sizes]
        times = []
        for _ in range(rounds):
            begun_s = time.thread_time()
            for x, weight in zip(inputs, weights, strict=True):
                weight(x)
            times.append(time.thread_time() - begun_s)
        return min(times)

    table = torch.tensor([[1.0, rows, seconds(rows)] for rows in ROWS], dtype=torch.float64)
    table /= table[:, 2:].clone()
    read_s, row_s = torch.linalg.lstsq(table[:, :2], table[:, 2:]).solution.flatten().tolist()
    parameters = sum(outputs * inputs for outputs, inputs in sizes)
    return DeviceType(
        name="core",
        kind="cpu",
        memory_bytes=2 << 30,
        memory_bandwidth_bytes_per_s=round(4 * parameters / read_s),
        compute_flops_per_s=round(2 * parameters / row_s),
        efficiency=Efficiency(compute=Decimal(1), bandwidth=Decimal(1), origin="this run"),
        origin="measured by this run",
    )
