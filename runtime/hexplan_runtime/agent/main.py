"""The program of an agent: `python -m hexplan_runtime.agent.main`, with its task on stdin.

From its first moment somebody ends it if a signal stops it, also while it reads its libraries.
"""

from __future__ import annotations

from hexplan_runtime.agent.stop_guard import begin_stop_guard


def main() -> None:
    """Be guarded first, and an agent then."""
    begin_stop_guard()
    from hexplan_runtime.agent.obeying import run

    run()


if __name__ == "__main__":
    main()
