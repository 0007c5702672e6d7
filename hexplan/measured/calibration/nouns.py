"""Predicted times compared with observed ones; they can be written as JSON."""

from __future__ import annotations

from typing import Literal

from hexplan.cluster import Correction, Link
from hexplan.frozen_model import FrozenModel

Phase = Literal["prefill", "decode"]


class PhaseComparison(FrozenModel):
    """Those steps of one stage that mostly run prompts, or those that mostly decode."""

    phase: Phase
    """Which of them."""
    num_steps: int
    """How many steps, without the warm-up."""
    ratio: float
    """The median over the steps of observed over predicted seconds."""
    spread: float
    """The range of the middle half of these ratios, as a share of their median."""
    corrected_ratio: float | None
    """The same median with the fitted correction, if there is one."""


class StageComparison(FrozenModel):
    """One stage."""

    stage: str
    """Stage id."""
    devices: tuple[str, ...]
    """The device type of each of its devices."""
    busy: float
    """Share of the time between its first and last step of a launch in which it ran steps."""
    phases: tuple[PhaseComparison, ...]
    """Prefill and decode, if steps of them were seen."""


class GroupFit(FrozenModel):
    """Stages of one device type and degree."""

    stages: tuple[str, ...]
    """Their ids."""
    correction: Correction
    """Brings their predicted times, without any earlier correction, to the observed ones."""
    doubts: tuple[str, ...]
    """Why the correction is in doubt; empty if it is not."""


class EdgeComparison(FrozenModel):
    """One edge."""

    source: str
    """A stage id, or `entry`."""
    target: str
    """A stage id, or `exit`."""
    num_messages: int
    """Messages that were seen, without the first few."""
    median_bytes: int
    """The median of their sizes, including headers."""
    predicted_s: float
    """The median of the plan's predictions: latency plus bytes over bandwidth."""
    ratio: float
    """The median over the messages of observed over predicted seconds."""
    spread: float
    """The range of the middle half of these ratios, as a share of their median."""


class LinkFit(FrozenModel):
    """A link between two hosts that was slower or faster than the plan says."""

    link: Link
    """The figures that fit."""
    num_messages: int
    """Messages that were seen."""


class Calibration(FrozenModel):
    """A plan's times compared with the observed ones."""

    plan: str
    """What the plan's cluster is called."""
    num_launches: int
    """Launches that were observed."""
    hardware: str
    """The machine that played all hosts."""
    stages: tuple[StageComparison, ...]
    """Every stage that was seen."""
    groups: tuple[GroupFit, ...]
    """The fits, one for each device type and degree."""
    edges: tuple[EdgeComparison, ...]
    """Every edge that was seen."""
    links: tuple[LinkFit, ...]
    """Links whose figures are off, and that were observed well enough to say so."""
    remarks: tuple[str, ...]
    """What the comparison cannot tell, and why."""
