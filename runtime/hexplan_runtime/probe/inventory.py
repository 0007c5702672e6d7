"""What an agent's machine has: its devices, their memory, and installed versions."""

from __future__ import annotations

import platform
from importlib.metadata import version

from hexplan.measured.findings import Accelerator, Inventory
from hexplan_runtime.hardware import free_cores, main_memory, processor_name


def machine() -> Inventory:
    """Return what this machine is, with the memory that is free now."""
    import torch  # which takes seconds; the version alone needs none of it

    memory = main_memory()
    return Inventory(
        processor=processor_name(),
        cores=free_cores(),
        memory_bytes=memory.total_bytes,
        free_bytes=memory.free_bytes,
        accelerators=_accelerators() if torch.cuda.is_available() else (),
        python=platform.python_version(),
        torch=torch_version(),
        hexplan=version("hexplan"),
    )


def torch_version() -> str:
    """Return the version of torch, without the suffix that names its build."""
    return version("torch").partition("+")[0]


def _accelerators() -> tuple[Accelerator, ...]:
    """Return the devices. Asking creates a context on each, whose memory counts as in use."""
    import torch

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
