"""Ranks on other hosts, and the agents that have started them."""

from __future__ import annotations

from dataclasses import dataclass, field

from hexplan.errors import HexplanError
from hexplan.frozen_model import FrozenModel
from hexplan.plan import Plan
from hexplan_runtime.agent.messages import HostOrder, HostReport, HostSeen
from hexplan_runtime.launch.places import HostPlace
from hexplan_runtime.processes import ChildProcess


class RemoteRank:
    """A rank on another host, which its agent has started."""

    def __init__(
        self, name: str, agent: ChildProcess[HostReport], number: int, attempt: int = 0
    ) -> None:
        self.attempt = attempt
        """The start of its stage."""
        self._name = name
        self._agent = agent
        self._number = number
        self._last_words = ""

    @property
    def name(self) -> str:
        """What errors call it."""
        return self._name

    @property
    def last_words(self) -> str:
        """The last lines that it wrote, once it has ended."""
        return self._last_words

    def tell(self, message: FrozenModel) -> None:
        """Send it a message, by its agent."""
        line = message.model_dump_json(by_alias=True)
        self._agent.tell(HostOrder(rank=self._number, line=line))

    def forget_words(self) -> None:
        """Forget what it has written so far."""
        self._last_words = ""

    def keep_words(self, words: str) -> None:
        """Take what it wrote last."""
        self._last_words = words


@dataclass(slots=True)
class HostAgent:
    """An agent, and what it has said."""

    place: HostPlace
    child: ChildProcess[HostReport]
    heard_s: float | None = None
    """When it last said something, by the monotonic clock; None until it has."""
    seen: HostSeen | None = None
    ranks: list[RemoteRank] = field(default_factory=list)

    def first_number(self, stage: int, plan: Plan) -> int:
        """Return the index on this host of the leader of a stage."""
        before = self.place.stages[: self.place.stages.index(stage)]
        return sum(plan.stages[one].tp for one in before)


@dataclass(frozen=True, slots=True)
class HostLost:
    """A host is of no use any more, and so are its stages."""

    stages: tuple[int, ...]
    """Their indices in the plan."""
    error: HexplanError
