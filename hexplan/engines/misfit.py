"""What is reported where an engine cannot run a plan."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class MisfitKind(StrEnum):
    """Which restriction a plan does not keep to."""

    SHARED_STAGE = "shared-stage"
    ENTERED_INSIDE = "entered-inside"
    SHARING = "sharing"
    MIXED_DEGREES = "mixed-degrees"
    UNEVEN_SHARDS = "uneven-shards"
    UNEQUAL_RANKS = "unequal-ranks"
    HOST_AGAIN = "host-again"
    MIXED_PLATFORMS = "mixed-platforms"
    SEVERAL_MACHINES = "several-machines"
    PAST_MAIN_HOST = "past-main-host"
    FORMAT = "format"


@dataclass(frozen=True, slots=True)
class Misfit:
    """One place of a plan that an engine cannot run."""

    kind: MisfitKind
    where: str
    """The place, such as `stage s3` or `route 2`."""
    found: str
    """What the plan has there."""
    needed: str
    """What the engine runs."""
    hint: str
    """What would make the plan fit."""

    @property
    def sentence(self) -> str:
        """What was found, and what is needed."""
        return f"{self.found}, needed {self.needed}"
