"""What a doctor and its agents say to each other: one line of JSON each."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from hexplan.field_types import Range
from hexplan.frozen_model import FrozenModel
from hexplan_runtime.agent.seen import FileSeen

Subject = Literal["reach", "version", "address", "torch", "memory", "model", "ports", "clock"]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class DoctorTask(FrozenModel):
    """What an agent of the same version hears first: no plan, which takes long to read."""

    model_config = ConfigDict(hide_input_in_errors=True)

    address: str
    """Where the plan says that other hosts reach this one."""
    may_be_public: bool
    """Whether that may be a public address."""
    ports: tuple[int | None, ...]
    """Where its edges will listen; null is a port that the system chooses."""
    needed_bytes: Annotated[int, Field(ge=0)]
    """What the planned weights and KV caches fill here."""
    model_folder: str
    """Where the weights should be."""
    config_sha256: str | None
    """The hash of the planned model's config.json."""
    layers: tuple[Range, ...]
    """The layers of the stages here."""
    listeners: tuple[str, str] = Field(repr=False)
    """Public and secret key of the ends that listen, in Z85."""
    callers: tuple[str, str] = Field(repr=False)
    """Public and secret key of the ends that call them."""


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
