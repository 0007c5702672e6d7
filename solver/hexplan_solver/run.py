"""One solve under way: its clock, its best bound, and what it reports to the caller."""

from __future__ import annotations

import math
import platform
from dataclasses import replace
from importlib.metadata import version

from hexplan.bound_proof import TrustedKind
from hexplan.constants import MICRO, CertificateStatus
from hexplan.errors import HexplanError
from hexplan.plan import SolveInfo
from hexplan.spec import Spec
from hexplan_solver.bounds.proof import Proof, Proved, Trusted
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
        self.proved: Proved | None = None
        """The lowest bound that `check` can recompute; None while there is none."""
        self.trusted: Trusted | None = None
        """The lowest bound that rests on trust, if there is one."""
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
    def bound(self) -> int:
        """The lowest bound, in 1e-6 tokens/s, by which the search goes; 0 while there is none."""
        known = [b.micro_tokens_per_s for b in (self.proved, self.trusted) if b is not None]
        return min(known, default=0)

    @property
    def how(self) -> str:
        """What the lowest bound rests on, in words; empty while there is none."""
        if self.trusted is not None and self.trusted.micro_tokens_per_s == self.bound:
            return self.trusted.sentence
        return self.proved.how.sentence if self.proved is not None else ""

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

    def lower(self, found: Proved) -> None:
        """Take over a bound with its proof if it is the first or the lowest of these."""
        if self.proved is None or found.micro_tokens_per_s < self.proved.micro_tokens_per_s:
            self.proved = found

    def trust(self, bound: int, kind: TrustedKind, by: str = "") -> None:
        """Take over a bound in 1e-6 tokens/s that has no proof, if it is the lowest of all.

        Parameters
        ----------
        by
            The program whose answer is trusted; hexplan itself if none is named.
        """
        if not self.bound or bound < self.bound:
            self.trusted = Trusted(bound, kind, by or hexplan_itself())

    def take(self, proof: Proof) -> None:
        """Take over the bounds of a search within this one, for the same hosts."""
        self.lower(proof.proved)
        if proof.trusted is not None:
            self.trust(proof.trusted.micro_tokens_per_s, proof.trusted.kind, proof.trusted.by)

    def tighten(
        self, milp_bound: float | None, reached: int, kind: TrustedKind = "coverage"
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
            self.trust(bound, kind, program_of(self.options))

    def proof(self, flow: int) -> Proof:
        """Return the bounds, and how far the search got with this flow.

        Raises
        ------
        HexplanError
            If the flow exceeds the bound: then an answer of the solver was wrong.
        """
        if flow > self.bound or self.proved is None:
            message = f"flow {flow} exceeds the bound {self.bound} that was found ({self.how})"
            raise HexplanError(message, hint="this is a bug of hexplan or of the MILP solver")
        is_lower = self.bound < self.proved.micro_tokens_per_s
        return Proof(self.proved, self.trusted if is_lower else None, self._status(flow))

    def _status(self, flow: int) -> str:
        if self.proved is not None and _reaches(flow, self.proved.micro_tokens_per_s):
            return CertificateStatus.OPTIMAL
        if self.is_proved(flow):
            return CertificateStatus.OPTIMAL_IF_TRUSTED
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
        """Say whether a flow reaches the lowest bound, so that there is nothing left to find."""
        return _reaches(flow, self.bound)

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


def _reaches(flow: int, bound: int) -> bool:
    """Say whether a flow reaches a bound, apart from the MILP's tolerances."""
    return bound - flow <= bound * 2 * MILP_TOLERANCE + 2


def hexplan_itself() -> str:
    """Return the name and version of this program."""
    return f"hexplan {version('hexplan')}"


def program_of(options: SolveOptions) -> str:
    """Return the name of the MILP solver, with its version if it is HiGHS."""
    is_highs = options.solver.lower() == "highs"
    return f"HiGHS {version('highspy')}" if is_highs else options.solver
