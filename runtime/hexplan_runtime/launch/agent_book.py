"""The agents that a launch knows, and their beats: those that are silent are lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Event, Lock

from hexplan.errors import HexplanError, LaunchError
from hexplan_runtime.agent.messages import BEAT_S, SILENCE_S, HostOrder, HostSeen
from hexplan_runtime.launch.places import HostPlace
from hexplan_runtime.launch.remote_ranks import HostAgent


def keep_beating(
    agents: Callable[[], Sequence[HostAgent]],
    lose: Callable[[HostAgent, HexplanError], None],
    over: Event,
) -> None:
    """Tell agents that the coordinator lives, and notice those that say nothing, until it is over.

    Parameters
    ----------
    agents
        Returns those that there are by now.
    lose
        Takes each that has said nothing for too long, again and again.
    """
    while not over.wait(BEAT_S):
        for agent in agents():
            agent.child.tell(HostOrder())
            # Seconds would count against hosts while this process itself is held up.
            agent.silent_looks += agent.heard_s is not None
            if agent.silent_looks > SILENCE_S / BEAT_S:
                message = f"{agent.child.name}: no word from its agent for {SILENCE_S:g} s"
                hint = "the host or its agent stands still, or its network is cut off"
                lose(agent, LaunchError(message, hint=hint))


class AgentBook:
    """Knows the agents of a launch, and which of them are of no use; any thread may ask."""

    def __init__(self) -> None:
        self._agents: dict[str, HostAgent] = {}
        self._problems: dict[str, HexplanError] = {}
        self._lock = Lock()

    def seen(self) -> Sequence[tuple[HostPlace, HostSeen]]:
        """Return what is on each host whose agent is checked."""
        with self._lock:
            return [(a.place, a.seen) for a in self._agents.values() if a.seen is not None]

    def hosts(self) -> set[str]:
        """Return the hosts of the launch, whether they are lost or not."""
        return {agent.place.name for agent in self._all()}

    def live_hosts(self) -> set[str]:
        """Return the hosts whose agents run."""
        return {a.place.name for a in self._all() if a.child.name not in self._problems}

    def _agent_of(self, stage: int) -> HostAgent:
        with self._lock:
            return next(a for a in self._agents.values() if stage in a.place.stages)

    def _all(self) -> Sequence[HostAgent]:
        with self._lock:
            return list(self._agents.values())
