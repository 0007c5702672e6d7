"""Child processes: how they are started, heard, told things and ended, here or over ssh."""

from hexplan_runtime.processes.child_process import ChildProcess, Ended, Said
from hexplan_runtime.processes.command import Command, Here, OverSsh, Starter
from hexplan_runtime.processes.supervisor import Supervisor

__all__ = [
    "ChildProcess",
    "Command",
    "Ended",
    "Here",
    "OverSsh",
    "Said",
    "Starter",
    "Supervisor",
]
