"""A child process that does what it is told: `python -m support.child`, with a `Task` on stdin."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import Literal

from hexplan.frozen_model import FrozenModel
from hexplan_runtime.processes.child import Parent, leave

Act = Literal["echo", "print", "complain", "fail", "die", "sleep", "ignore", "stop", "leave"]


class Task(FrozenModel):
    """What the child does next."""

    act: Act
    text: str = ""


class Reply(FrozenModel):
    """What it says."""

    text: str
    pid: int


def main() -> None:
    """Do one thing after another."""
    parent = Parent()
    parent.before_leaving(lambda: parent.tell(Reply(text="good-bye", pid=os.getpid())))
    while True:
        task = parent.hear(Task)
        parent.tell(Reply(text=task.text, pid=os.getpid()))
        do(task)


def do(task: Task) -> None:
    """Do one thing."""
    match task.act:
        case "echo":
            pass
        case "print":
            print(task.text, flush=True)  # goes to stderr, as stdout is for replies
        case "complain":
            print(task.text, file=sys.stderr, flush=True)
        case "fail":
            raise RuntimeError(task.text)
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
        case "sleep":
            time.sleep(1000)
        case "ignore":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        case "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        case "leave":
            leave(int(task.text))


if __name__ == "__main__":
    main()
