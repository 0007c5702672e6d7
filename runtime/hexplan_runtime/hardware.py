"""What this machine is: its processor, its cores and its memory."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

_CPU_INFO = Path("/proc/cpuinfo")
_MEMORY_INFO = Path("/proc/meminfo")
_KIB = 1024


def processor_name() -> str:
    """Return the processor's own name."""
    lines = _CPU_INFO.read_text(encoding="utf-8").splitlines() if _CPU_INFO.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine() or "unknown"


def free_cores() -> int:
    """Return the processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class MainMemory:
    """The main memory of a machine."""

    total_bytes: int
    free_bytes: int
    """What a new process could still use."""


def main_memory() -> MainMemory:
    """Return the main memory of this machine."""
    if not _MEMORY_INFO.exists():
        page, sizes = os.sysconf("SC_PAGE_SIZE"), ("SC_PHYS_PAGES", "SC_AVPHYS_PAGES")
        return MainMemory(*(page * os.sysconf(name) for name in sizes))
    lines = _MEMORY_INFO.read_text(encoding="utf-8").splitlines()
    kib = {line.partition(":")[0]: int(line.split()[1]) for line in lines}
    return MainMemory(_KIB * kib["MemTotal"], _KIB * kib["MemAvailable"])
