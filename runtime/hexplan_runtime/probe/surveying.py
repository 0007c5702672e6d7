"""A survey: start an agent on every host, then measure one pair after the other."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from statistics import quantiles
from threading import Event
from typing import Final, Protocol

from hexplan.cluster import COORDINATOR
from hexplan.measured.findings import Findings, HostFinding, Inventory, LinkFinding
from hexplan_runtime.net.addresses import LOOPBACK
from hexplan_runtime.probe.agents import Agents
from hexplan_runtime.probe.inventory import torch_version
from hexplan_runtime.probe.messages import AgentAnswer, AgentTask, Figures, PairOrder
from hexplan_runtime.probe.reach import HostAddress, Reach

START_S: Final = 120.0
"""How long agents may take to start: all of them at once may share few cores."""
STORE_S: Final = 10.0
"""How long an agent may take to reach the store."""
_GRACE_S = 5.0
"""How long an agent may take to answer after the limit of its order."""

Pair = tuple[str, str]
"""Source and target."""


class LinkListener(Protocol):
    """Whoever follows a survey."""

    def __call__(self, link: LinkFinding, done: int, total: int) -> None:
        """Hear of a new finding, and how many links are done."""


@dataclass(frozen=True, slots=True)
class ProbeJob:
    """What to probe."""

    hosts: tuple[HostAddress, ...]
    """The hosts; the coordinator is this machine, if a link ends there."""
    links: tuple[Pair, ...]
    """The links to measure, each from its source to its target."""
    bind: str
    """Address of this machine, in numbers, where the hosts meet."""
    reach: Reach
    limit_s: float
    """How long one pair may take."""


def survey(job: ProbeJob, hear: LinkListener, stop: Event) -> Findings:
    """Probe all hosts and links; `stop` ends it early, with what has been measured so far.

    Raises
    ------
    InputError
        A host's address or the program to run there must not be used.
    """
    for place in job.hosts:
        job.reach.check(place)
    links: list[LinkFinding] = []
    # This reads torch, which takes seconds that others who look at this package need not wait.
    from hexplan_runtime.net.gloo import host_store

    store, port = host_store(job.bind)
    with Agents(stop) as agents:
        machines = _start(agents, job, port)
        for meeting in _meetings(job.links):
            if stop.is_set():
                break
            for link in _measure(agents, meeting, job.limit_s):
                links.append(link)
                hear(link, len(links), len(job.links))
        hosts = [
            HostFinding(
                host=place.host,
                machine=machines.get(place.host),
                problem=agents.lost(place.host),
            )
            for place in job.hosts
        ]
    del store
    return Findings(
        is_one_machine=all(place.address is None for place in job.hosts),
        hosts=tuple(hosts),
        links=tuple(links),
        num_links=len(job.links),
        torch=torch_version(),
        hexplan=version("hexplan"),
    )


def _start(agents: Agents, job: ProbeJob, port: int) -> dict[str, Inventory]:
    """Start all agents at once, and return the machines of those that came up."""
    nonce = secrets.token_hex(16)
    places = list(job.hosts)
    if any(COORDINATOR in link for link in job.links):
        places.append(HostAddress(COORDINATOR))
    for place in places:
        here = job.bind if place.host == COORDINATOR else LOOPBACK
        task = AgentTask(
            address=place.address or here,
            may_be_public=job.reach.may_be_public,
            store_address=job.bind,
            store_port=port,
            nonce=nonce,
            limit_s=STORE_S,
        )
        agents.start(place.host, job.reach.starter(place), task)
    answers = agents.answers([place.host for place in places], START_S)
    for host, answer in answers.items():
        if answer.problem is not None:
            agents.lose(host, answer.problem)
    return {host: answer.machine for host, answer in answers.items() if answer.machine is not None}


@dataclass(frozen=True, slots=True)
class _Meeting:
    """Two hosts that are measured together, and which links between them are wanted."""

    ends: Pair
    is_forward: bool
    is_backward: bool

    @property
    def links(self) -> tuple[Pair, ...]:
        """The links that are wanted."""
        links = ((self.ends, self.is_forward), (self.ends[::-1], self.is_backward))
        return tuple(link for link, is_wanted in links if is_wanted)


def _meetings(links: Sequence[Pair]) -> Iterator[_Meeting]:
    wanted = set(links)
    for source, target in links:
        is_both = (target, source) in wanted
        if source < target or not is_both:
            yield _Meeting((source, target), is_forward=True, is_backward=is_both)


def _measure(agents: Agents, meeting: _Meeting, limit_s: float) -> list[LinkFinding]:
    """Measure the links between two hosts; return nothing if a request to stop came meanwhile."""
    for host in meeting.ends:
        if agents.lost(host) is not None:
            return [_unreachable(link, f"there is no agent on {host}") for link in meeting.links]
    for rank, host in enumerate(meeting.ends):
        order = PairOrder(
            meeting=">".join(meeting.ends),
            rank=1 if rank else 0,
            peer=meeting.ends[1 - rank],
            is_forward=meeting.is_forward,
            is_backward=meeting.is_backward,
            limit_s=limit_s,
        )
        agents.tell(host, order)
    answers = agents.answers(meeting.ends, limit_s + _GRACE_S)
    if len(answers) < len(meeting.ends):
        return []
    figures = answers[meeting.ends[0]].figures
    if figures is None:
        return [_unreachable(link, _problem(agents, meeting, answers)) for link in meeting.links]
    return [_finding(link, figures, link == meeting.ends) for link in meeting.links]


def _problem(agents: Agents, meeting: _Meeting, answers: dict[str, AgentAnswer]) -> str:
    """Return why a pair was not measured: the end of an agent explains more than its peer does."""
    gone = [f"{host}: {why}" for host in meeting.ends if (why := agents.lost(host)) is not None]
    said = [problem for host in meeting.ends if (problem := answers[host].problem) is not None]
    return [*gone, *said, "its figures are missing"][0]


def _unreachable(link: Pair, problem: str) -> LinkFinding:
    return LinkFinding(source=link[0], target=link[1], problem=problem)


def _finding(link: Pair, figures: Figures, is_forward: bool) -> LinkFinding:
    trips_s = figures.round_trips_s
    low, middle, high = quantiles(trips_s, n=4, method="inclusive")
    rate = figures.forward_bytes_per_s if is_forward else figures.backward_bytes_per_s
    return LinkFinding(
        source=link[0],
        target=link[1],
        latency_s=middle / 2,
        latency_spread=(high - low) / middle if middle else 0.0,
        bandwidth_bytes_per_s=None if rate is None else max(1, int(rate)),
    )
