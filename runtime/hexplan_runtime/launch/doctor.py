"""Look at the hosts and edges of a plan before anything starts: what is wrong, and what helps."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Final

from hexplan.cluster import COORDINATOR
from hexplan.errors import HexplanError
from hexplan.plan import Plan
from hexplan_runtime.agent.doctor_messages import Call, DoctorReport, Finding, Trial
from hexplan_runtime.agent.messages import FileSeen, HostGreeting, HostTask
from hexplan_runtime.launch.explaining import explain_end
from hexplan_runtime.launch.hosts import different_files, new_keys
from hexplan_runtime.launch.places import HostPlace, Hosts, edge_hosts, host_places
from hexplan_runtime.model.architecture import Architecture
from hexplan_runtime.net.trials import try_call
from hexplan_runtime.processes import ChildProcess, Ended, Said, Supervisor
from hexplan_runtime.stage.keys import keys_of
from hexplan_runtime.stage.messages import Assignment
from hexplan_runtime.stage.topology import launch_edges

AGENT: Final = "hexplan_runtime.agent.doctor"
CLOCK_S: Final = 2.0
"""Clocks may differ by so much: logs of several hosts are read side by side."""
_EDGE_S: Final = 2.0
"""How long one edge may take to try."""
_NO_ARCHITECTURE: Final = Architecture(
    norm_epsilon=0.0, windows=(), rotary_frequencies=(), rotary_scale=0.0
)


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

    @property
    def is_settled(self) -> bool:
        """Whether its first report is here, or never will be."""
        return self.is_lost or self.report is not None


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
        """Look at all hosts at once, then try one edge after the other."""
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
        assignment = Assignment(
            plan=self._plan,
            architecture=_NO_ARCHITECTURE,
            model_folder=self._folder,
            stage=0,
            rank=0,
            launcher_pid=0,
            meeting_folder="",
            nonce=secrets.token_hex(16),
            across=self._across,
        )
        for place in host_places(self._plan, self._hosts.reach):
            command = place.starter(self._hosts.reach).command(AGENT)
            greeting = HostGreeting(version=version("hexplan"))
            child = self._supervisor.start(f"host {place.name}", command, greeting)
            self._visits[place.name] = _Visit(place, child)
            child.tell(
                HostTask(
                    host=place.name,
                    address=place.address,
                    may_be_public=self._hosts.reach.may_be_public,
                    stages=place.stages,
                    listens=place.listens,
                    assignment=assignment,
                )
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
        edges, tried = launch_edges(self._plan), list[EdgeDiagnosis]()
        for number, (listener, caller) in enumerate(edge_hosts(self._plan)):
            if listener == caller:
                continue
            report = self._visits[listener].report
            address = report.listens if report is not None else None
            trial = None if address is None else self._try(caller, address)
            tried.append(EdgeDiagnosis(*edges[number], caller, listener, address, trial))
        return tried

    def _try(self, caller: str, address: str) -> Trial | None:
        """Try to call an address; None if there is no time, or nobody to call."""
        limit_s = min(_EDGE_S, self._deadline_s - time.monotonic())
        if limit_s <= 0:
            return None
        if caller == COORDINATOR:
            latency_s, rate = try_call(address, keys_of(self._across), limit_s)
            return Trial(latency_s=latency_s, bytes_per_s=rate)
        visit = self._visits[caller]
        if visit.report is None or visit.is_lost:
            return None
        before = len(visit.trials)
        visit.child.tell(Call(address=address, limit_s=limit_s))
        deadline_s = time.monotonic() + limit_s + 1.0
        while len(visit.trials) == before and not visit.is_lost:
            if not self._take_next(deadline_s):
                return None
        return visit.trials[-1] if len(visit.trials) > before else None
