"""The search for the candidate that keeps a promise at the largest rate."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from hexplan_solver.objectives.slo.candidate import SloCandidate, retuned
from hexplan_solver.objectives.slo.judge import Judge, Kept, lowest_step, step_below
from hexplan_solver.objectives.slo.params import SLO_PARAMS
from hexplan_solver.run import Run


def best_kept(run: Run, judge: Judge, candidates: Sequence[SloCandidate]) -> Kept | None:
    """Return the candidate that keeps the promise at the largest rate, for as long as is measured.

    None is returned if none keeps it even at the lowest rate that is tried. Splits come last, with
    time of their own, so that they never keep another candidate from being tried.

    Parameters
    ----------
    candidates
        The most promising first.
    """
    params = SLO_PARAMS
    screen = _Screen(run, judge)
    screen.try_all([c for c in candidates if not c.is_split], params.screen_share, params.fewest)
    screen.try_all([c for c in candidates if c.is_split], params.split_share, 1)
    if not screen.found:
        screen.find_any(candidates)
    return _confirmed(run, judge, screen.found[::-1])


class _Screen:
    """Collects the candidates that were the best so far in short runs."""

    def __init__(self, run: Run, judge: Judge) -> None:
        self._run, self._judge = run, judge
        self.found: list[Kept] = []

    def try_all(self, candidates: Sequence[SloCandidate], share: float, fewest: int) -> None:
        """Try candidates and, of the best, larger and smaller steps, for a share of the time left.

        So many are tried however long that takes.
        """
        run, judge, params = self._run, self._judge, SLO_PARAMS
        until_s = run.elapsed_s + run.left_s * share
        most = judge.token_hops + run.effort_s * share * params.token_hops_per_s

        def may_go_on(tried: int) -> bool:
            is_affordable = judge.token_hops < most and run.elapsed_s < until_s
            return judge.has_time and (is_affordable or tried < fewest)

        tried, before = candidates[: params.most], len(self.found)
        for position, candidate in enumerate(tried):
            if (position or before) and not may_go_on(position):
                break
            later = max((other.guess for other in tried[position + 1 :]), default=0.0)
            self._climb(candidate, later * params.given_up)
        if len(self.found) > before:
            for candidate in retuned(self.found[-1].candidate, judge.slo):
                if not may_go_on(fewest):
                    break
                self._climb(candidate)

    def find_any(self, candidates: Sequence[SloCandidate]) -> None:
        """Try candidates until one is found: without any there would be no plan, however late."""
        tried, judge = candidates[: SLO_PARAMS.most], self._judge
        first = (_most(judge, one, None, 0.0) for one in tried if judge.has_time or one is tried[0])
        self.found.extend(islice((kept for kept in first if kept is not None), 1))

    def _climb(self, candidate: SloCandidate, other: float = 0.0) -> None:
        above = _to_exceed(self.found[-1], candidate) if self.found else None
        kept = _most(self._judge, candidate, above, other)
        if kept is not None:
            self.found.append(kept)


def _to_exceed(best: Kept, candidate: SloCandidate) -> int:
    """Return the step that a candidate has to exceed: a split only wins where it serves more."""
    return best.step - (best.candidate.is_split and not candidate.is_split)


def _most(judge: Judge, candidate: SloCandidate, above: int | None, other: float) -> Kept | None:
    """Return the largest rate at which a candidate keeps the promise in short runs, nearly.

    Parameters
    ----------
    above
        The step to exceed: the one just above it is tried first, so that a candidate that is no
        better costs one run.
    other
        Below this rate in requests/s another one is more promising.
    """
    lowest = max(lowest_step(candidate), step_below(max(other, 1e-9)))
    guess = step_below(max(candidate.guess, 1e-9))
    if above is not None:
        kept = judge.short(candidate, above + 1)
        high = None
    else:
        kept, high = _first_kept(judge, candidate, lowest, max(guess, lowest))
    if kept is None:
        return None
    stride = max(SLO_PARAMS.stride, guess - kept.step)
    while judge.has_time and (high is None or high - kept.step > SLO_PARAMS.resolution):
        step = (kept.step + high) // 2 if high is not None else kept.step + stride
        found = judge.short(candidate, step)
        if found is None:
            high = step
        else:
            kept, stride = found, 2 * SLO_PARAMS.stride
    return kept


def _first_kept(
    judge: Judge, candidate: SloCandidate, lowest: int, step: int
) -> tuple[Kept | None, int | None]:
    """Go down from a rate until the promise is kept; also return the lowest rate that failed."""
    high, stride = None, SLO_PARAMS.stride
    while True:
        kept = judge.short(candidate, step)
        if kept is not None or step <= lowest:
            return kept, high
        high, step, stride = step, max(lowest, step - stride), 2 * stride


def _confirmed(run: Run, judge: Judge, found: Sequence[Kept]) -> Kept | None:
    """Return the best of some candidates by long runs, at lower rates where these miss the promise.

    Where no time is left for a long run, the rate of a short one is lowered instead.
    """
    best: Kept | None = None
    for kept in _finalists(found):
        floor = lowest_step(kept.candidate)
        if best is not None:
            floor = _to_exceed(best, kept.candidate)
        if kept.step <= floor and best is not None:
            continue
        best = _lasting(run, judge, kept, floor) or best
    if best is None and found:
        kept = found[0]
        return judge.short(kept.candidate, kept.step - SLO_PARAMS.margin) or kept
    return best


def _finalists(found: Sequence[Kept]) -> list[Kept]:
    """Return the best of some candidates, and the best that is no split if it is not among them."""
    finalists = list(found[: SLO_PARAMS.finalists])
    if all(kept.candidate.is_split for kept in finalists):
        finalists += islice((kept for kept in found if not kept.candidate.is_split), 1)
    return finalists


def _lasting(run: Run, judge: Judge, kept: Kept, floor: int) -> Kept | None:
    """Return the largest rate above `floor` at which long runs keep the promise."""
    best: Kept | None = None
    params = SLO_PARAMS
    high, stride = kept.step + 1, params.first_lower
    step = max(floor + 1, kept.step - stride)
    while floor < step < high:
        requests = min(params.long_requests, judge.affordable(kept.candidate, step, run.left_s))
        if requests < params.least_requests:
            return best
        found = judge.long(kept.candidate, step, requests)
        if found is None:
            high = step
        else:
            best, floor = found, step
        if best is None:
            step, stride = max(floor + 1, step - stride), 2 * stride
        else:
            step = (floor + high) // 2
    return best
