"""The program of a rank: `python -m hexplan_runtime.stage.worker`, with its assignment on stdin.

From its first moment it ends when its launcher does, also while it reads torch, which takes
seconds.
"""

from __future__ import annotations

from hexplan_runtime.processes.child import Parent


def main() -> None:
    """Be somebody's child first, and a rank then."""
    launcher = Parent()
    from hexplan_runtime.stage.rank import run

    run(launcher)


if __name__ == "__main__":
    main()
