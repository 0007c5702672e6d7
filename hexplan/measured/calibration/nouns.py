"""Predicted times held against observed ones, as nouns that stand in a JSON file."""

from __future__ import annotations

from typing import Literal

from hexplan.cluster import Correction, Link
from hexplan.frozen_model import FrozenModel

Phase = Literal["prefill", "decode"]


class PhaseComparison(FrozenModel):
    """The steps of one stage that mostly run prompts, or mostly decode."""

    phase: Phase
    """Which of them."""
    num_steps: int
    """How many, without warm-up."""
    ratio: float
    """Observed over predicted seconds by the plan: the median of the steps."""
    spread: float
    """The range of the middle half of these ratios, as a share of their median."""
    corrected_ratio: float | None
    """The same median with the correction that was found, if one was."""


class StageComparison(FrozenModel):
    """One stage."""

    stage: str
    """Stage id."""
    devices: tuple[str, ...]
    """The device type of each of its devices."""
    busy: float
    """Share of the time between its first and last step of a launch in which it ran steps."""
    phases: tuple[PhaseComparison, ...]
    """Prefill and decode, as far as they were seen."""


class GroupFit(FrozenModel):
    """Stages of one device type and degree."""

    stages: tuple[str, ...]
    """Their ids."""
    correction: Correction
    """What brings their predicted times to the observed ones, seen from the times without any."""
    doubts: tuple[str, ...]
    """Why it is not sure, if it is not."""


class EdgeComparison(FrozenModel):
    """One edge."""

    source: str
    """A stage id, or `entry`."""
    target: str
    """A stage id, or `exit`."""
    num_messages: int
    """Messages that were seen, without the first ones."""
    median_bytes: int
    """The middle of their sizes, headers included."""
    predicted_s: float
    """What the plan says of the middle one: latency, and bytes over bandwidth."""
    ratio: float
    """Observed over predicted seconds: the median of the messages."""
    spread: float
    """The range of the middle half of these ratios, as a share of their median."""


class LinkFit(FrozenModel):
    """A link between two hosts that carried otherwise than the plan says."""

    link: Link
    """The figures that fit."""
    num_messages: int
    """Messages that were seen."""


class Calibration(FrozenModel):
    """A plan's times held against what was observed."""

    plan: str
    """What the plan's cluster is called."""
    num_launches: int
    """Launches that were observed."""
    hardware: str
    """What played all hosts."""
    stages: tuple[StageComparison, ...]
    """Every stage that was seen."""
    groups: tuple[GroupFit, ...]
    """What was fitted, by device type and degree."""
    edges: tuple[EdgeComparison, ...]
    """Every edge that was seen."""
    links: tuple[LinkFit, ...]
    """Links whose figures are off, where they could be observed well enough."""
    remarks: tuple[str, ...]
    """What limits all of this."""
