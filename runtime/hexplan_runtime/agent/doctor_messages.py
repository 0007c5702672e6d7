"""What a doctor and its agents say to each other: one line of JSON each."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hexplan.frozen_model import FrozenModel
from hexplan_runtime.agent.messages import FileSeen

Subject = Literal["reach", "version", "address", "torch", "memory", "model", "ports", "clock"]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Finding(FrozenModel):
    """One thing that was looked at on a host."""

    subject: Subject
    """What."""
    found: str = ""
    """What is there."""
    problem: str | None = None
    """What is wrong with it, if something is."""
    hint: str | None = None
    """What helps."""


class Call(FrozenModel):
    """Another host's listener, for an agent to try an edge to it."""

    address: str
    """`tcp://IP:PORT`."""
    limit_s: Seconds
    """How long all of it may take."""


class Trial(FrozenModel):
    """How an edge did."""

    latency_s: Seconds | None = None
    """Half the fastest round trip of a tiny message; null if there was no connection."""
    bytes_per_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """What the largest message reached, encrypted as in a launch; null if there was no time."""


class DoctorReport(FrozenModel):
    """What an agent says: first what it found, then how each call went."""

    findings: tuple[Finding, ...] = ()
    """What was looked at, in the first report."""
    files: tuple[FileSeen, ...] = ()
    """The weights, in the first report."""
    clock_s: float = 0.0
    """Its clock, in seconds since 1970, in the first report."""
    listens: str | None = None
    """Where it listens for calls, in the first report, if it can."""
    trial: Trial | None = None
    """How a call went."""
