"""The program of a rank: `python -m hexplan_runtime.stage.worker`, with its assignment on stdin.

From its first moment it ends when its launcher does, also while it reads torch, which takes
seconds.
"""

from __future__ import annotations

import gc

from hexplan_runtime.processes.child import Parent


def main() -> None:
    """Be somebody's child first, and a rank then."""
    launcher = Parent()
    gc.disable()  # what torch makes as it is read is all kept: looking for garbage takes a tenth
    from hexplan_runtime.stage.rank import run

    gc.freeze()  # nor is any of it looked through later, between steps
    gc.enable()
    run(launcher)


if __name__ == "__main__":
    main()
