"""Which requests run next: options of `serve` and `simulate`."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from hexplan.cli.inputs import seconds
from hexplan.errors import InputError

if TYPE_CHECKING:
    from hexplan.plan import Plan
    from hexplan.schedule.queueing.params import Queueing


class Queue(StrEnum):
    """Which requests run next."""

    FCFS = "fcfs"
    MLFQ = "mlfq"
    FAIR = "fair"
    SRPT = "srpt"


QueueOption = Annotated[
    Queue | None,
    typer.Option(
        "--queue",
        help="Which requests run next where not all can: fcfs, first come, first served; mlfq, who"
        " was served least; fair, whose client was served least; srpt, who has least left to do. By"
        " default as the plan says.",
    ),
]
StarveOption = Annotated[
    str | None,
    typer.Option(
        "--starve",
        help="How long a request may wait for others under mlfq and srpt, such as 10s; then it goes"
        " first. By default 30s.",
    ),
]


def queueing_of(plan: Plan, queue: Queue | None, starve: str | None) -> Queueing:
    """Return the queue that options ask for, or the plan's.

    Raises
    ------
    InputError
        The bound is given for a queue that has none.
    """
    from hexplan.schedule.queueing.params import QUEUE_PARAMS, Queueing

    name = queue.value if queue is not None else plan.queue
    starve_s = seconds("--starve", starve)
    if starve_s is None:
        return Queueing(name)
    if name not in ("mlfq", "srpt"):
        message = f"--starve: found it with the queue {name}, needed mlfq or srpt"
        raise InputError(message, hint="nobody waits for ever under fcfs and fair")
    return Queueing(name, replace(QUEUE_PARAMS, starve_s=starve_s))
