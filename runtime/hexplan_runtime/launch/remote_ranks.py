"""Ranks on other hosts, and the agents that have started them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from hexplan.errors import HexplanError
from hexplan.frozen_model import FrozenModel
from hexplan.plan import Plan
from hexplan_runtime.agent.messages import HostOrder, HostReport, HostSeen, HostTask, StageOrder
from hexplan_runtime.launch.places import HostPlace, Hosts
from hexplan_runtime.processes import Child, ChildProcess, Ended, Said, Stopped
from hexplan_runtime.stage.messages import Assignment, Report


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

    def news(self, report: HostReport) -> Said[Report] | Ended[Report] | Stopped:
        """Return what its agent tells of it, but for its words."""
        if report.event == "said" and report.said is not None:
            return Said(self, report.said)
        if report.event == "stopped":
            return Stopped(self)
        self.keep_words(report.last_words)
        return Ended(self, report.exit_code, report.is_memory_kill)


@dataclass(slots=True)
class HostAgent:
    """An agent, and what it has said."""

    place: HostPlace
    child: ChildProcess[HostReport]
    heard_s: float | None = None
    """When it last said something, by the monotonic clock; None until it has."""
    silent_looks: int = 0
    """How often the coordinator has looked since then: once a beat."""
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


def task_of(place: HostPlace, hosts: Hosts, assignment: Assignment) -> HostTask:
    """Return the task of a host's agent."""
    return HostTask(
        host=place.name,
        address=place.address,
        may_be_public=hosts.reach.may_be_public,
        stages=place.stages,
        listens=place.listens,
        assignment=assignment,
        spares=hosts.spares,
    )


def order_of(assignment: Assignment) -> HostOrder:
    """Return the order to start the ranks of a stage again."""
    return HostOrder(
        start_stage=StageOrder(
            stage=assignment.stage,
            attempt=assignment.attempt,
            generations=assignment.generations,
            directory=assignment.directory,
        )
    )


def words_of(agents: Sequence[HostAgent]) -> list[tuple[str, str]]:
    """Return what agents and ranks wrote last, each with its name."""
    speakers: list[Child] = []
    for agent in agents:
        speakers += [agent.child, *agent.ranks]
    return [(child.name, child.last_words) for child in speakers if child.name]
