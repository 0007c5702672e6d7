"""What an agent's machine has: its devices, their memory, and the versions that run on it."""

from __future__ import annotations

import platform
from importlib.metadata import version

import torch

from hexplan.measured.findings import Accelerator, Machine
from hexplan_runtime.hardware import free_cores, main_memory_bytes, processor_name


def machine() -> Machine:
    """Return what this machine is, with the memory that is free now."""
    memory_bytes, free_bytes = main_memory_bytes()
    return Machine(
        processor=processor_name(),
        cores=free_cores(),
        memory_bytes=memory_bytes,
        free_bytes=free_bytes,
        accelerators=_accelerators() if torch.cuda.is_available() else (),
        python=platform.python_version(),
        torch=torch_version(),
        hexplan=version("hexplan"),
    )


def torch_version() -> str:
    """Return the version of torch, without what it was built for."""
    return str(torch.__version__).partition("+")[0]


def _accelerators() -> tuple[Accelerator, ...]:
    """Return the devices; the context that asking takes on each of them counts as in use."""
    found = []
    for index in range(torch.cuda.device_count()):
        free_bytes, memory_bytes = torch.cuda.mem_get_info(index)
        found.append(
            Accelerator(
                name=torch.cuda.get_device_name(index),
                kind="rocm" if torch.version.hip else "cuda",
                memory_bytes=memory_bytes,
                free_bytes=free_bytes,
            )
        )
    return tuple(found)
