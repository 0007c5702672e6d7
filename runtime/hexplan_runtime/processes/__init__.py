"""Child processes: how they are started, heard, told things and ended, here or over ssh."""

from hexplan_runtime.processes.child_process import Child, ChildProcess, Ended, Said, Stopped
from hexplan_runtime.processes.command import Command, Here, OverSsh, Starter
from hexplan_runtime.processes.own_folder import OwnFolder
from hexplan_runtime.processes.spares import Spares
from hexplan_runtime.processes.stop_watch import StopWatch
from hexplan_runtime.processes.supervisor import Supervisor

__all__ = [
    "Child",
    "ChildProcess",
    "Command",
    "Ended",
    "Here",
    "OverSsh",
    "OwnFolder",
    "Said",
    "Spares",
    "Starter",
    "StopWatch",
    "Stopped",
    "Supervisor",
]
