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
from hexplan.measured.findings import Findings, HostFinding, LinkFinding, Machine
from hexplan_runtime.net.gloo import LOOPBACK, host_store
from hexplan_runtime.probe.agents import Agents
from hexplan_runtime.probe.inventory import torch_version
from hexplan_runtime.probe.messages import Answer, Figures, Order, Task
from hexplan_runtime.probe.reach import Post, Reach

START_S: Final = 120.0
"""How long agents may take to start: all of them at once may share few cores."""
STORE_S: Final = 10.0
"""How long an agent may take to reach the store."""
_GRACE_S = 5.0

Pair = tuple[str, str]
"""Source and target."""


class Hear(Protocol):
    """Whoever follows a survey."""

    def __call__(self, link: LinkFinding, done: int, total: int) -> None:
        """Hear of a new finding, and how many links are done."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What to look at."""

    posts: tuple[Post, ...]
    """The hosts; the coordinator is this machine, if a link ends there."""
    links: tuple[Pair, ...]
    """The ways between them."""
    bind: str
    """Address of this machine, in numbers, where the hosts meet."""
    reach: Reach
    limit_s: float
    """How long one pair may take."""


def survey(wish: Wish, hear: Hear, stop: Event) -> Findings:
    """Look at all hosts and links; a wish to stop ends it with what is found so far.

    Raises
    ------
    InputError
        A host's address must not be used.
    """
    for post in wish.posts:
        wish.reach.check(post)
    links: list[LinkFinding] = []
    store, port = host_store(wish.bind)
    with Agents(stop) as agents:
        machines = _start(agents, wish, port)
        for meeting in _meetings(wish.links):
            if stop.is_set():
                break
            for link in _measure(agents, meeting, wish.limit_s):
                links.append(link)
                hear(link, len(links), len(wish.links))
        hosts = [
            HostFinding(
                host=post.host, machine=machines.get(post.host), problem=agents.lost(post.host)
            )
            for post in wish.posts
        ]
    del store
    return Findings(
        is_one_machine=all(post.address is None for post in wish.posts),
        hosts=tuple(hosts),
        links=tuple(links),
        num_links=len(wish.links),
        torch=torch_version(),
        hexplan=version("hexplan"),
    )


def _start(agents: Agents, wish: Wish, port: int) -> dict[str, Machine]:
    """Start all agents at once, and return the machines of those that came up."""
    nonce = secrets.token_hex(16)
    posts = list(wish.posts)
    if any(COORDINATOR in link for link in wish.links):
        posts.append(Post(COORDINATOR))
    for post in posts:
        here = wish.bind if post.host == COORDINATOR else LOOPBACK
        task = Task(
            address=post.address or here,
            may_be_public=wish.reach.may_be_public,
            store_address=wish.bind,
            store_port=port,
            nonce=nonce,
            limit_s=STORE_S,
        )
        agents.start(post.host, wish.reach.argv(post), task)
    answers = agents.answers([post.host for post in posts], START_S)
    for host, answer in answers.items():
        if answer.problem is not None:
            agents.lose(host, answer.problem)
    return {host: answer.machine for host, answer in answers.items() if answer.machine is not None}


@dataclass(frozen=True, slots=True)
class _Meeting:
    """Two hosts that are measured together, and which ways between them count."""

    ends: Pair
    is_forward: bool
    is_backward: bool

    @property
    def links(self) -> tuple[Pair, ...]:
        """The ways that count."""
        ways = ((self.ends, self.is_forward), (self.ends[::-1], self.is_backward))
        return tuple((source, target) for (source, target), counts in ways if counts)


def _meetings(links: Sequence[Pair]) -> Iterator[_Meeting]:
    wanted = set(links)
    for source, target in links:
        is_both = (target, source) in wanted
        if source < target or not is_both:
            yield _Meeting((source, target), is_forward=True, is_backward=is_both)


def _measure(agents: Agents, meeting: _Meeting, limit_s: float) -> list[LinkFinding]:
    """Return what is found between two hosts; nothing where a wish to stop came in between."""
    for host in meeting.ends:
        if agents.lost(host) is not None:
            return [_unreachable(link, f"there is no agent on {host}") for link in meeting.links]
    for rank, host in enumerate(meeting.ends):
        order = Order(
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


def _problem(agents: Agents, meeting: _Meeting, answers: dict[str, Answer]) -> str:
    """Return why a pair was not measured: an agent that is gone says more than its peer."""
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
