"""A doctor tries edges side by side, but never two that share a host or a line."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.plans import two_sites_plan

from hexplan_runtime.agent.doctor_messages import Call, Trial
from hexplan_runtime.launch.doctor_trials import Attempt, EdgeTrials, attempt
from hexplan_runtime.net.keys import LaunchKeys

KEYS = LaunchKeys.new()
LINES = ("", "north", "south")


@dataclass
class Host:
    """A host that answers a call when the test says so."""

    trials: list[Trial] = field(default_factory=list)
    order: Call | None = None
    is_able: bool = True

    def call(self, order: Call) -> None:
        assert self.order is None, "one call at a time"
        self.order = order

    def answer(self) -> None:
        assert self.order is not None
        port = float(self.order.address.rpartition(":")[2])
        self.order = None
        self.trials.append(Trial(latency_s=port))

    def give_up(self) -> None:
        self.is_able = False


def shares_of(*names: str) -> frozenset[str]:
    return frozenset(names) - {""}


edges = st.lists(
    st.tuples(st.integers(0, 6), st.integers(0, 6), st.sampled_from(LINES)).filter(
        lambda edge: edge[0] != edge[1]
    ),
    max_size=25,
)


@given(edges, st.randoms())
@settings(max_examples=25)
def test_every_edge_is_tried_and_none_beside_one_that_it_shares_something_with(
    edges: list[tuple[int, int, str]], dice: Random
) -> None:
    hosts = {str(number): Host() for number in range(7)}
    attempts = [
        Attempt(
            str(caller),
            str(listener),
            f"x:{n}",
            frozenset({str(caller), str(listener), line} - {""}),
        )
        for n, (caller, listener, line) in enumerate(edges)
    ]
    most = 0

    def take(until_s: float) -> None:
        nonlocal most
        busy = [host for host in hosts.values() if host.order is not None]
        under_way = [
            one
            for one in attempts
            for host in busy
            if host.order and host.order.address == one.address
        ]
        shared = [share for one in under_way for share in one.shares]
        assert len(shared) == len(set(shared))
        most = max(most, len(under_way))
        for host in dice.sample(busy, dice.randint(min(1, len(busy)), len(busy))):
            host.answer()

    EdgeTrials(dict(hosts), KEYS, take, time.monotonic() + 600).run(attempts)
    for number, one in enumerate(attempts):
        assert one.trial is not None
        assert one.trial.latency_s == number
    every = [share for one in attempts for share in one.shares]
    if len(every) == len(set(every)):
        assert most == len(attempts)


def test_a_host_that_does_not_answer_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hexplan_runtime.launch.doctor_trials._GRACE_S", 0.0)
    hosts = {name: Host() for name in "abcd"}
    silent = Attempt("a", "b", "x:1", frozenset("ab"))
    again = Attempt("a", "c", "x:2", frozenset("ac"))
    other = Attempt("d", "c", "x:3", frozenset("cd"))

    def take(until_s: float) -> None:
        time.sleep(0.01)
        if hosts["d"].order is not None:
            hosts["d"].answer()

    EdgeTrials(dict(hosts), KEYS, take, time.monotonic() + 0.3).run([silent, again, other])
    assert (silent.trial, again.trial) == (None, None)
    assert other.trial is not None


def test_an_edge_shares_its_hosts_and_the_trunk_of_its_link() -> None:
    plan = two_sites_plan()
    trunk = next(link for link in plan.cluster.links if link.trunk_bytes_per_s is not None)
    east = next(h.name for h in plan.cluster.hosts if h.site == trunk.source)
    west = next(h.name for h in plan.cluster.hosts if h.site == trunk.target)
    found = attempt(plan, east, west, "tcp://10.0.0.1:1")
    assert found.shares == {east, west, f"{trunk.source}>{trunk.target}"}
