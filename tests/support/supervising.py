"""A parent in a process of its own, whose children the tests count after it has ended."""

from __future__ import annotations

import signal
import sys
import time

from support.child import Reply, Task

from hexplan_runtime.processes import Here, Supervisor


def main() -> None:
    """Start two children, one of which is stopped, and wait until something ends this process."""
    # A test process may ignore it, as shells let background jobs do, and hand that down.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with Supervisor(Reply) as supervisor:
        for act in ("echo", "stop"):
            supervisor.start("child", Here().command("support.child"), Task(act=act))
        for _ in range(2):
            supervisor.next_event()
        print(*(child.pid for child in supervisor.children), flush=True)
        time.sleep(1000)


if __name__ == "__main__":
    sys.exit(main())
