"""Routes that are held back: slow stages get as little of the traffic as the latencies allow.

The largest flow fills every stage. Where some are much slower than others, their requests then make
the mean latencies too long, and nothing of them would be used, though a little load on them would
do. So the flow on the late routes of a placement is multiplied by a part.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from hexplan.constants import MICRO
from hexplan_solver.flow.routes import Flow, Path
from hexplan_solver.objectives.balanced.params import BALANCED_PARAMS
from hexplan_solver.objectives.sustained.candidate import Candidate, Held, with_flow
from hexplan_solver.served.latencies import MeanLatencies, route_latencies


@dataclass(frozen=True, slots=True)
class Throttle:
    """A candidate with the routes that are late, and the part of their flow that they keep."""

    whole: Candidate
    """With the flow that it comes with."""
    late: frozenset[int]
    """Positions of the late routes."""
    part: float
    """What these keep of their flow."""

    @property
    def found(self) -> Candidate:
        """The candidate with less flow on the late routes."""
        evaluated, millionths = self.whole.evaluated, round(self.part * MICRO)
        paths, chains = [], set()
        for position, path in enumerate(evaluated.flow.paths):
            amount = path.amount
            if position in self.late:
                amount = amount * millionths // MICRO
                chains.add(path.stages)
            if amount:
                paths.append(Path(path.stages, amount))
        paths.sort(key=lambda path: (-path.amount, path.stages))
        flow = Flow(sum(path.amount for path in paths), tuple(paths), evaluated.flow.cut)
        held = Held(frozenset(chains), millionths)
        found = with_flow(replace(evaluated, flow=flow), self.whole.policy)
        return replace(found, held=held)


def throttled(whole: Candidate, own: MeanLatencies, allowed: MeanLatencies) -> Throttle | None:
    """Return how much the late routes may keep of their flow; None if there is no such part.

    The routes are compared by the formula, and scaled so that their mean is what was measured. With
    less to do they will be less late, so the part is rather too small.

    Parameters
    ----------
    own
        The mean latencies with the flow that the candidate has.
    """
    if whole.served.tpot_s is None:
        return None  # prompts run whole: the formula knows no latencies
    load, workload = BALANCED_PARAMS.load, whole.evaluated.problem.spec.workload
    known = route_latencies(load, whole.pipeline, workload, whole.policy, whole.served)
    paths = whole.evaluated.flow.paths
    # A path of next to no flow has no route: it gets no requests.
    times = [known.get(path.stages, MeanLatencies(0.0, 0.0)) for path in paths]
    weights = [float(path.amount) * (path.stages in known) for path in paths]
    by_kind = (
        _Times([one.ttft_s for one in times], own.ttft_s, allowed.ttft_s, weights),
        _Times([one.tpot_s for one in times], own.tpot_s, allowed.tpot_s, weights),
    )
    late = frozenset(position for kind in by_kind for position in kind.late)
    if not late:
        return None
    part = min(kind.part(late) for kind in by_kind)
    if part < BALANCED_PARAMS.least_part:
        return None  # or no other route gets requests, which makes the part 0
    return Throttle(whole, late, min(part, BALANCED_PARAMS.most_part))


@dataclass(frozen=True, slots=True)
class _Times:
    """The times of one kind on all routes, by the formula; what was measured, and is allowed."""

    seconds: Sequence[float]
    own_s: float
    allowed_s: float
    weights: Sequence[float]

    @property
    def late(self) -> list[int]:
        """Return the routes that take longer than is allowed, if the mean does."""
        if self.own_s <= self.allowed_s:
            return []
        scale = self._scale
        return [i for i, s in enumerate(self.seconds) if s * scale > self.allowed_s]

    @property
    def _scale(self) -> float:
        mean = self._mean(range(len(self.weights)))
        return self.own_s / mean if math.isfinite(mean) and mean > 0 else 1.0

    def _mean(self, routes: Sequence[int]) -> float:
        whole = sum(self.weights[i] for i in routes)
        total = sum(self.weights[i] * self.seconds[i] for i in routes)
        return total / whole if whole else 0.0

    def part(self, late: frozenset[int]) -> float:
        """Return how much of their flow these routes may keep, so that the mean is allowed."""
        others = [i for i in range(len(self.weights)) if i not in late]
        slow_s = self._mean(sorted(late)) * self._scale
        if slow_s <= self.allowed_s:
            return 1.0
        spare = sum(self.weights[i] for i in others)
        spare *= self.allowed_s - self._mean(others) * self._scale
        return spare / (sum(self.weights[i] for i in late) * (slow_s - self.allowed_s))
