"""What a coordinator and its agents say to each other: one line of JSON each."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from hexplan.frozen_model import FrozenModel
from hexplan.measured.findings import Bytes
from hexplan_runtime.agent.seen import FileSeen as FileSeen
from hexplan_runtime.agent.seen import HostGreeting as HostGreeting
from hexplan_runtime.stage.messages import Assignment, Directory, Report

BEAT_S = 1.0
"""How often either side says that it is alive."""
SILENCE_S = 3.0
"""After so long without a word, a coordinator takes a host for lost."""
DEAD_MAN_S = 8.0
"""After so long without a word, an agent ends its ranks and itself, and its guard ends one that is
stopped: all is gone within 15 s, whatever has died or is cut off."""


class HostTask(FrozenModel):
    """What an agent of the same version hears next."""

    model_config = ConfigDict(hide_input_in_errors=True)

    host: str
    """Its host's name in the plan."""
    address: str
    """Where the plan says that other hosts reach this one; the only address to listen at."""
    may_be_public: bool
    """Whether that may be a public address."""
    stages: tuple[int, ...]
    """Indices of the stages that run here."""
    listens: tuple[int, ...]
    """Numbers of the edges between machines at which its leaders listen."""
    assignment: Assignment
    """What all ranks get, but for what only their host and their place say."""
    spares: Annotated[int, Field(ge=0)] = 0
    """Ranks that wait here with their libraries read, so that a stage starts sooner."""


class StageOrder(FrozenModel):
    """What the ranks of a stage that was lost must know that those before them did not."""

    stage: int
    """Its index in the plan."""
    attempt: int
    """Numbers the starts of stages after the first ones."""
    generations: tuple[int, ...]
    """How often each stage of the plan was lost so far."""
    directory: Directory | None
    """Where ends between machines listen."""


class TaskChange(FrozenModel):
    """What of a host's task is another from now on, as another plan is applied."""

    model_config = ConfigDict(hide_input_in_errors=True)

    stages: tuple[int, ...]
    """Indices of the stages that may run here: those so far, and new ones behind them."""
    assignment: Assignment
    """What ranks get that start from now on."""


class HostOrder(FrozenModel):
    """What an agent hears after its task; an empty order only says that the coordinator lives."""

    change: TaskChange | None = None
    """What of the task is another from now on."""
    start: bool = False
    """Whether to start the ranks of this host now."""
    end_stage: int | None = None
    """Index of the stage whose ranks to end by force."""
    start_stage: StageOrder | None = None
    """The stage whose ranks to start now."""
    words: bool = False
    """Whether to tell what each rank wrote last."""
    rank: int | None = None
    """Index of the rank on this host to pass `line` to."""
    line: str | None = None
    """A message for it, as one line of JSON."""


class HostSeen(FrozenModel):
    """What an agent found before it started anything."""

    python: str
    """Version of Python."""
    torch: str
    """Version of torch."""
    cores: Annotated[int, Field(gt=0)]
    """Cores that a process may use."""
    free_bytes: Bytes
    """Main memory that new processes could use."""
    clock_s: float
    """Its clock, in seconds since 1970."""
    files: tuple[FileSeen, ...]
    """The weights in its model folder."""


class HostReport(FrozenModel):
    """What an agent says; an empty report only says that it lives."""

    event: Literal["beat", "checked", "refused", "said", "ended", "stopped", "words"] = "beat"
    """It lives; all is as it should be; something is not; a rank said something; a rank ended;
    a signal has stopped a rank; or what a rank wrote last."""
    seen: HostSeen | None = None
    """What was found, when checked."""
    message: str = ""
    """Why it refused."""
    hint: str | None = None
    """What helps, when refused."""
    rank: int = 0
    """Index of the rank on this host."""
    attempt: int = 0
    """The start of its stage."""
    said: Report | None = None
    """What the rank said."""
    exit_code: int = 0
    """How it ended."""
    is_memory_kill: bool = False
    """Whether Linux killed it because memory ran out."""
    last_words: str = ""
    """What it wrote last, when it ended or when asked."""
