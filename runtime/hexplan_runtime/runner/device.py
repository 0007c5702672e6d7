"""A stage on its device: batches come from the CPU, and what comes out goes back there."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import torch

from hexplan.plan import Plan
from hexplan.plan import Stage as PlannedStage
from hexplan_runtime.batch import Batch

_GPUS: Final = ("cuda", "rocm")
"""Kinds of devices that torch runs as CUDA devices."""


def device_of(plan: Plan, stage: PlannedStage, rank: int) -> torch.device:
    """Return the GPU that a plan names, if this machine has it, and else the CPU."""
    index = stage.devices[rank]
    host = next(host for host in plan.cluster.hosts if host.name == stage.host)
    kinds = {device.name: device.kind for device in plan.cluster.device_types}
    is_gpu = index < len(host.devices) and kinds[host.devices[index]] in _GPUS
    if is_gpu and index < torch.cuda.device_count():
        return torch.device("cuda", index)
    return torch.device("cpu")


def brought(batch: Batch, device: torch.device) -> Batch:
    """Return a batch whose tensors are on a device."""
    ids, hidden = batch.token_ids, batch.hidden
    return replace(
        batch,
        token_ids=None if ids is None else ids.to(device),
        hidden=None if hidden is None else hidden.to(device),
    )


def lacks_memory(error: Exception) -> bool:
    """Say whether an error means that memory could not be had, of a host or of a GPU."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return "can't allocate memory" in str(error)  # torch raises a plain RuntimeError on a CPU


def has_half_arithmetic() -> bool:
    """Say whether this processor multiplies float16 itself, and torch lets it."""
    try:
        return bool(torch.ops.mkldnn._is_mkldnn_fp16_supported())
    except (AttributeError, RuntimeError):  # a build without oneDNN
        return False
