"""Look at the hosts and edges of a plan before anything starts: what is wrong, and what helps."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from typing import Final

from hexplan.errors import HexplanError
from hexplan.plan import Plan
from hexplan_runtime.agent.doctor_messages import (
    Call,
    DoctorReport,
    DoctorTask,
    Finding,
    Trial,
)
from hexplan_runtime.agent.looking import needed_memory
from hexplan_runtime.agent.seen import FileSeen, HostGreeting
from hexplan_runtime.launch.doctor_trials import Attempt, Caller, EdgeTrials, attempt
from hexplan_runtime.launch.explaining import explain_end
from hexplan_runtime.launch.hosts import different_files, new_keys
from hexplan_runtime.launch.places import HostPlace, Hosts, edge_hosts, host_places
from hexplan_runtime.processes import ChildProcess, Ended, Said, Supervisor
from hexplan_runtime.stage.keys import keys_of
from hexplan_runtime.stage.topology import launch_edges

AGENT: Final = "hexplan_runtime.agent.doctor"
CLOCK_S: Final = 2.0
"""Clocks may differ by so much: logs of several hosts are read side by side."""


@dataclass(frozen=True, slots=True)
class HostDiagnosis:
    """What was found on a host."""

    host: str
    address: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class EdgeDiagnosis:
    """How the way of an edge did, from the end that calls to the one that listens."""

    source: str
    target: str
    caller: str
    listener: str
    address: str | None
    """Where it was tried; None if nobody listened there."""
    trial: Trial | None
    """None if it could not be tried."""
    is_open_back: bool = False
    """Whether the listener could call the caller, where that could not call it."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What a doctor found."""

    hosts: tuple[HostDiagnosis, ...]
    edges: tuple[EdgeDiagnosis, ...]
    elapsed_s: float


@dataclass(slots=True)
class _Visit:
    """A host, and what is known of it by now."""

    place: HostPlace
    child: ChildProcess[DoctorReport]
    report: DoctorReport | None = None
    findings: list[Finding] = field(default_factory=list)
    is_lost: bool = False
    trials: list[Trial] = field(default_factory=list)
    is_late: bool = False
    """Whether it did not tell in time how a call went, so that what it tells is an old story."""

    @property
    def is_settled(self) -> bool:
        """Whether its first report is here, or never will be."""
        return self.is_lost or self.report is not None

    @property
    def is_able(self) -> bool:
        """Whether its agent is there, and not busy with an old call."""
        return self.report is not None and not self.is_lost and not self.is_late

    def call(self, order: Call) -> None:
        """Let it call a listener."""
        self.child.tell(order)

    def give_up(self) -> None:
        """Note that it did not tell in time how a call went."""
        self.is_late = True


class Doctor:
    """Examines a plan's hosts, within a time limit; leaving it ends all its agents."""

    def __init__(self, plan: Plan, hosts: Hosts, model_folder: str, limit_s: float) -> None:
        self._plan = plan
        self._hosts = hosts
        self._folder = model_folder
        self._begun_s = time.monotonic()
        self._deadline_s = self._begun_s + limit_s
        self._across = new_keys(hosts)
        self._supervisor = Supervisor(DoctorReport)
        self._visits: dict[str, _Visit] = {}

    def examine(self) -> Diagnosis:
        """Look at all hosts at once, and then try edges, side by side where they are apart."""
        try:
            self._begin()
            while not all(visit.is_settled for visit in self._visits.values()):
                if not self._take_next(self._deadline_s):
                    break
            for visit in self._visits.values():
                if not visit.is_settled:
                    problem = f"{visit.place.name}: no answer in time from {visit.place.address}"
                    hint = "is the host on? `--timeout` gives it longer"
                    found = Finding(subject="reach", problem=problem, hint=hint)
                    visit.findings.insert(0, found)
                    visit.is_lost = True
            self._compare_files()
            edges = tuple(self._try_edges())
        finally:
            self._supervisor.stop(release_s=1.0)
        hosts = tuple(
            HostDiagnosis(name, visit.place.address, tuple(visit.findings))
            for name, visit in self._visits.items()
        )
        return Diagnosis(hosts, edges, time.monotonic() - self._begun_s)

    def _begin(self) -> None:
        for place in host_places(self._plan, self._hosts.reach):
            command = place.starter(self._hosts.reach).command(AGENT)
            greeting = HostGreeting(version=version("hexplan"))
            child = self._supervisor.start(f"host {place.name}", command, greeting)
            self._visits[place.name] = _Visit(place, child)
            child.tell(self._task(place))

    def _task(self, place: HostPlace) -> DoctorTask:
        first, plan = self._hosts.first_port, self._plan
        return DoctorTask(
            address=place.address,
            may_be_public=self._hosts.reach.may_be_public,
            ports=(None,) if first is None else tuple(first + edge for edge in place.listens),
            needed_bytes=needed_memory(plan, place.stages),
            model_folder=self._folder,
            config_sha256=plan.model.config_sha256,
            layers=tuple(plan.stages[index].layers for index in place.stages),
            listeners=self._across.listeners,
            callers=self._across.callers,
        )

    def _take_next(self, deadline_s: float) -> bool:
        """Take the next thing that an agent says; False if none comes in time."""
        event = self._supervisor.next_event(deadline_s)
        if event is None:
            return False
        visit = next(v for v in self._visits.values() if v.child is event.child)
        if isinstance(event, Ended):
            if not visit.is_settled:
                error: HexplanError = explain_end(visit.place, event)
                found = Finding(subject="reach", problem=error.message, hint=error.hint)
                visit.findings.append(found)
            visit.is_lost = True
        elif isinstance(event, Said) and event.message.trial is not None:
            visit.trials.append(event.message.trial)
        else:
            self._take_first(visit, event.message)
        return True

    def _take_first(self, visit: _Visit, report: DoctorReport) -> None:
        visit.report = report
        visit.findings += [Finding(subject="reach", found="reached"), *report.findings]
        if not report.clock_s:
            return
        skew_s = report.clock_s - time.time()
        found = f"{abs(skew_s):.1f} s {'ahead' if skew_s > 0 else 'behind'}"
        wrong = abs(skew_s) > CLOCK_S
        clock = Finding(
            subject="clock",
            found="" if wrong else found,
            problem=f"its clock is {found}" if wrong else None,
            hint="set it, with NTP for instance: logs of hosts are compared" if wrong else None,
        )
        visit.findings.append(clock)

    def _compare_files(self) -> None:
        seen: list[tuple[str, Sequence[FileSeen]]] = [
            (name, visit.report.files)
            for name, visit in self._visits.items()
            if visit.report is not None
        ]
        for host, message in different_files(seen):
            hint = "copy the same model to all hosts"
            wrong = Finding(subject="model", problem=message, hint=hint)
            self._visits[host].findings.append(wrong)

    def _try_edges(self) -> list[EdgeDiagnosis]:
        """Try each edge between machines from the end that calls."""
        edges, found = launch_edges(self._plan), list[tuple[EdgeDiagnosis, Attempt | None]]()
        for number, ends in enumerate(edge_hosts(self._plan, self._hosts.reach.behind)):
            listener, caller = ends
            if listener == caller:
                continue
            address = self._address_of(listener)
            one = attempt(self._plan, caller, listener, address) if address is not None else None
            edge = EdgeDiagnosis(*edges[number], caller, listener, address, None)
            found.append((edge, one))
        callers: dict[str, Caller] = {**self._visits}
        trials = EdgeTrials(callers, keys_of(self._across), self._take_next, self._deadline_s)
        trials.run([one for _, one in found if one is not None])
        told = [replace(edge, trial=one.trial) if one is not None else edge for edge, one in found]
        return self._tried_back(trials, told)

    def _tried_back(self, trials: EdgeTrials, edges: list[EdgeDiagnosis]) -> list[EdgeDiagnosis]:
        """Try shut edges from the other end, which a launch can let call instead."""
        back: dict[int, Attempt] = {}
        for number, edge in enumerate(edges):
            address = self._address_of(edge.caller)
            is_shut = edge.trial is not None and edge.trial.latency_s is None
            if is_shut and address is not None:
                back[number] = attempt(self._plan, edge.listener, edge.caller, address)
        trials.run(list(back.values()))
        for number, one in back.items():
            is_open = one.trial is not None and one.trial.latency_s is not None
            edges[number] = replace(edges[number], is_open_back=is_open)
        return edges

    def _address_of(self, host: str) -> str | None:
        """Return where a host's agent listens; None of the coordinator, which listens nowhere."""
        visit = self._visits.get(host)
        return visit.report.listens if visit is not None and visit.report is not None else None
