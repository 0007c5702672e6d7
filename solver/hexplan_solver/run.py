"""One solve under way: its clock, its best bound, and what it reports to the caller."""

from __future__ import annotations

import math
import platform
from dataclasses import replace
from importlib.metadata import version

from hexplan.constants import MICRO, CertificateStatus
from hexplan.errors import HexplanError
from hexplan.plan import SolveInfo
from hexplan.spec import Spec
from hexplan_solver.bounds.proof import Proof
from hexplan_solver.budget import Watch
from hexplan_solver.options import OWN_METHOD, Progress, Report, SolveOptions

MILP_TOLERANCE = 1e-6
"""A MILP's bound is raised by this share, which is more than the solver's feasibility tolerance."""
END_SHARE = 0.02
"""Share of the time that is kept for writing the plan, at least..."""
END_WORK_S = 3e-3
"""...and the work for each device: its share of a last evaluation, of the plan's served rate,
memory, routes, and check. On `large` clusters of 1,300 devices (benchmarks/odd_specs.py), where it
is most, that was 4.5 s on one core of an AMD EPYC."""
MOST_END_SHARE = 0.4
"""Share of the time that is kept at most: a hasty search finds more with the rest than without."""
LEAST_WORK_S = 0.05
"""Work from which it says how busy the machine is."""
LEAST_LIMIT_S = 1e-3
"""The least time of a nested search: above 0, so that it still tries what costs no time."""
TOLD_S = 0.2
"""Least seconds between two progress reports of one phase: more often, a reader sees no more."""


class Run:
    """Time, bound and progress of one solve."""

    def __init__(self, spec: Spec, options: SolveOptions, report: Report) -> None:
        self.options = options
        self.limit_s = options.time_limit_s or spec.cluster.limits.solve_time_s
        self.effort_s = options.effort_s or self.limit_s
        """Seconds from which numbers of steps and runs follow: fixed, unlike the time left."""
        self.bound = 0
        """No placement has a larger flow, in 1e-6 tokens/s."""
        self.how = ""
        """How the bound was proved; empty while there is none."""
        self.status: str = CertificateStatus.FEASIBLE
        """How the search ended, in the words of a certificate, or in those of a baseline."""
        self._report = report
        self._clock = options.clock
        self._began_s, self._worked_s = self._clock.wall_s(), self._clock.work_s()
        self._start = self._began_s if options.started_s is None else options.started_s
        devices = sum(len(host.devices) for host in spec.cluster.hosts)
        self._end_work_s = 0.0 if options.is_nested else END_WORK_S * devices
        self._incumbent: float | None = None
        self._told: tuple[str, float] = ("", 0.0)

    @property
    def elapsed_s(self) -> float:
        """Seconds since the solve began."""
        return self._clock.wall_s() - self._start

    @property
    def left_s(self) -> float:
        """Seconds until the wall-clock limit; 0 once the caller wants to stop."""
        if self.options.stop.is_set():
            return 0.0
        return max(0.0, self.limit_s - self._end_s() - self.elapsed_s)

    def _end_s(self) -> float:
        """Return the seconds to keep for writing the plan, on a machine that is busy as this one.

        A process that got only a part of a core so far will get no more of it at the end.
        """
        wall_s = self._clock.wall_s() - self._began_s
        work_s = self._clock.work_s() - self._worked_s
        waits = max(1.0, wall_s / work_s) if work_s > LEAST_WORK_S else 1.0
        least, most = (share * self.limit_s for share in (END_SHARE, MOST_END_SHARE))
        return min(most, max(least, self._end_work_s * waits))

    def tell(self, phase: str, incumbent: float | None, bound: float | None = None) -> None:
        """Report progress in tokens/s, but not too often.

        Parameters
        ----------
        incumbent
            The best flow so far; None means that the last one still holds.
        bound
            A bound of the phase, if it has one.
        """
        now = self.elapsed_s
        self._incumbent = incumbent if incumbent is not None else self._incumbent
        if self._told[0] == phase and now - self._told[1] < TOLD_S:
            return
        self._told = (phase, now)
        proved = self.bound / MICRO
        if bound is not None:
            proved = min(proved, bound)
        self._report(Progress(phase, self._incumbent, proved, now))

    def nested(self, time_limit_s: float, effort: float = 1.0) -> SolveOptions:
        """Return the options of a search within this one.

        Parameters
        ----------
        time_limit_s
            Seconds that it may take.
        effort
            Its share of this run's effort. As that is fixed, numbers of steps do not depend on
            the clock.
        """
        limit_s = max(LEAST_LIMIT_S, time_limit_s)
        return replace(
            self.options,
            time_limit_s=limit_s,
            effort_s=self.effort_s * effort,
            started_s=None,
            is_nested=True,
        )

    def watcher(self, phase: str) -> Watch:
        """Return a watch that reports a MILP's progress and ends it if the caller wants that."""

        def watch(incumbent: float | None, bound: float | None) -> bool:
            self.tell(phase, incumbent, bound)
            return not self.options.stop.is_set()

        return watch

    def goes_on(self, incumbent: float | None, bound: float | None) -> bool:
        """Let a MILP that does not maximise the flow run until the caller wants to stop."""
        return not self.options.stop.is_set()

    def lower(self, bound: int, how: str) -> None:
        """Take over a proved bound in 1e-6 tokens/s if it is the first or the lowest."""
        if not self.how or bound < self.bound:
            self.bound, self.how = bound, how

    def tighten(
        self,
        milp_bound: float | None,
        reached: int,
        how: str = "coverage bound: dual bound of the coverage MILP",
    ) -> None:
        """Take over a MILP's bound in tokens/s, raised by its tolerances, if it is the lowest.

        Parameters
        ----------
        reached
            The flow of a solution of the same MILP, in 1e-6 tokens/s. A bound below it is an error
            of the solver, as coefficients many powers of ten apart can cause, and is ignored.
        """
        if milp_bound is None:
            return
        bound = math.ceil(milp_bound * (1 + MILP_TOLERANCE) * MICRO)
        if bound >= reached:
            self.lower(bound, how)

    def proof(self, flow: int) -> Proof:
        """Return the proved bound, and how far the search got with this flow.

        Raises
        ------
        HexplanError
            If the flow exceeds the bound: then an answer of the solver was wrong.
        """
        if flow > self.bound:
            message = f"flow {flow} exceeds the bound {self.bound} that was proved ({self.how})"
            raise HexplanError(message, hint="this is a bug of hexplan or of the MILP solver")
        return Proof(self.bound, self.how, self._status(flow))

    def _status(self, flow: int) -> str:
        if self.is_proved(flow):
            return CertificateStatus.OPTIMAL
        if self.options.stop.is_set():
            return CertificateStatus.INTERRUPTED
        if self.options.method != OWN_METHOD:
            return self.status
        if not self.left_s:
            return CertificateStatus.TIME_LIMIT
        # The MILP's optimum ignores the links, so it proves nothing about this flow; and the time
        # of the MILP is only a part of the search's.
        parts = (CertificateStatus.OPTIMAL, CertificateStatus.TIME_LIMIT)
        return CertificateStatus.FEASIBLE if self.status in parts else self.status

    def is_proved(self, flow: int) -> bool:
        """Say whether a flow reaches the bound, apart from the MILP's tolerances."""
        return self.bound - flow <= self.bound * 2 * MILP_TOLERANCE + 2

    def info(self) -> SolveInfo:
        """Return how the plan was made."""
        names = ("hexplan", "pulp", "highspy", "networkx", "scipy")
        versions = {name: version(name) for name in names} | {"python": platform.python_version()}
        return SolveInfo(
            wall_s=round(self.elapsed_s, 3),
            seed=self.options.seed,
            versions=versions,
            method=self.options.method,
        )
