"""An agent of `doctor`: it looks at its host, and tries edges to others; it starts no rank."""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

import zmq

from hexplan.errors import HexplanError
from hexplan_runtime.agent.checks import (
    check_version,
    files_here,
    memory_for,
    own_address,
    torch_here,
)
from hexplan_runtime.agent.doctor_messages import (
    Call,
    DoctorReport,
    DoctorTask,
    Finding,
    Subject,
    Trial,
)
from hexplan_runtime.agent.seen import FileSeen, HostGreeting
from hexplan_runtime.net.addresses import tcp_address
from hexplan_runtime.net.keys import LaunchKeys
from hexplan_runtime.net.trials import TrialListener, try_call
from hexplan_runtime.processes.child import Parent, leave

Found = TypeVar("Found")
_GIB = 2**30


def main() -> None:
    """Say what is here, then try calls until the doctor wants no more."""
    parent = Parent()
    patient = _Patient()
    greeting = parent.hear(HostGreeting)
    if patient.look("version", lambda: check_version(greeting)) is None and patient.is_ill:
        parent.tell(DoctorReport(findings=tuple(patient.findings)))
        leave(0)
    patient.note("version", f"hexplan {version('hexplan')}")
    task = parent.hear(DoctorTask)
    parent.tell(patient.examine(task))
    keys = _keys(task)
    while True:
        call = parent.hear(Call)
        latency_s, bytes_per_s = try_call(call.address, keys, call.limit_s)
        parent.tell(DoctorReport(trial=Trial(latency_s=latency_s, bytes_per_s=bytes_per_s)))


class _Patient:
    """What was looked at so far."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self._listener: TrialListener | None = None

    @property
    def is_ill(self) -> bool:
        """Whether something is wrong."""
        return any(finding.problem is not None for finding in self.findings)

    def look(self, subject: Subject, act: Callable[[], Found]) -> Found | None:
        """Do something, and note what is wrong with it if it fails."""
        try:
            return act()
        except HexplanError as error:
            wrong = Finding(subject=subject, problem=error.message, hint=error.hint)
            self.findings.append(wrong)
            return None

    def note(self, subject: Subject, found: str) -> None:
        """Note what is there."""
        self.findings.append(Finding(subject=subject, found=found))

    def examine(self, task: DoctorTask) -> DoctorReport:
        """Look at everything that a launch needs here."""
        torch = self.look("torch", torch_here)
        if torch is not None:
            self.note("torch", f"torch {torch}")
        free_bytes = self.look("memory", lambda: memory_for(task.needed_bytes))
        if free_bytes is not None:
            self.note("memory", f"{free_bytes / _GIB:.1f} GiB free")
        folder = Path(task.model_folder).expanduser()
        files: tuple[FileSeen, ...] | None = self.look(
            "model", lambda: files_here(folder, task.config_sha256, task.layers)
        )
        if files is not None:
            size = sum(file.size_bytes for file in files) / _GIB
            noun = "file" if len(files) == 1 else "files"
            self.note("model", f"{len(files)} {noun} of weights, {size:.2f} GiB")
        address = self.look(
            "address", lambda: own_address(task.address, may_be_public=task.may_be_public)
        )
        if address is not None:
            self.note("address", f"{address} is this host's")
            self._listen(task, address)
        return DoctorReport(
            findings=tuple(self.findings),
            files=files or (),
            clock_s=time.time(),
            listens=self._listener.address if self._listener is not None else None,
        )

    def _listen(self, task: DoctorTask, address: str) -> None:
        """Listen for calls where edges will, and see whether all their ports are free."""
        busy = []
        for port in task.ports:
            listener = _listener(tcp_address(address, port), _keys(task))
            if listener is None:
                busy.append(str(port))
            elif self._listener is None:
                self._listener = listener
            else:
                listener.close()
        if busy:
            message = f"port {', '.join(busy)}: another program listens there"
            hint = "choose others with `--first-port`, or end that program"
            self.findings.append(Finding(subject="ports", problem=message, hint=hint))
        else:
            is_any = None in task.ports
            self.note("ports", "any free ones" if is_any else f"{len(task.ports)} free")


def _keys(task: DoctorTask) -> LaunchKeys:
    return LaunchKeys.of(task.listeners, task.callers)


def _listener(address: str, keys: LaunchKeys) -> TrialListener | None:
    try:
        return TrialListener(address, keys)
    except zmq.ZMQError:
        return None


if __name__ == "__main__":
    main()
