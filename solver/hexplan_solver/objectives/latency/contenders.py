"""The candidates that are simulated: the best by the queueing model, and the best by the formula.

The queueing model splits the rate well where requests are rare. The formula of served rates knows
how requests share steps and fill the KV cache, and so do the placements that the objectives
`sustained` and `balanced` start from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

from hexplan_solver.flow.evaluate import Evaluated
from hexplan_solver.objectives.balanced.limits import Limits, shallowest_of
from hexplan_solver.objectives.latency.offered import Offered, carrying_no_more
from hexplan_solver.objectives.latency.params import LATENCY_PARAMS
from hexplan_solver.objectives.latency.routed import Routed
from hexplan_solver.objectives.sustained.candidate import (
    Candidate,
    tuned,
    used_part,
    with_flow,
    with_policy,
)
from hexplan_solver.objectives.sustained.params import SUSTAINED_PARAMS
from hexplan_solver.objectives.sustained.search import Walks, all_starts, leading, searched
from hexplan_solver.objectives.sustained.split import spread
from hexplan_solver.problem.problem import Problem
from hexplan_solver.replicas.grids import uniform_grids
from hexplan_solver.run import Run
from hexplan_solver.served.step_limits import of_fewer_tokens
from hexplan_solver.simulate import Policy


@dataclass(frozen=True, slots=True)
class Contender:
    """A candidate, and the least mean time of a request that a model gives it."""

    found: Candidate
    guess_s: float
    load: float
    """The rate as a share of what it serves by the formula."""
    is_uniform: bool = False
    """Whether it is what runs without a planner: the choice takes no longer than it."""

    @property
    def hops(self) -> float:
        """Stages of a mean request."""
        return self.found.served.hops


def from_queueing(offered: Offered, found: Sequence[Routed], policy: Policy) -> list[Contender]:
    """Return candidates that the queueing model found, in its order."""
    result = []
    for one in found:
        candidate = paced(offered, tuned(with_flow(one.evaluated, policy)))
        guess_s = min(one.times.total_s, offered.guess_s(candidate))
        result.append(Contender(candidate, guess_s, offered.load_of(candidate)))
    return result


def from_starts(
    run: Run, offered: Offered, static: Evaluated, policy: Policy, needed: int
) -> list[Contender]:
    """Return the starts of `sustained`, the best from them, and the shallowest, the fastest first.

    By the formula at the rate; those that do not carry it come last.

    Parameters
    ----------
    static
        The placement of largest flow.
    needed
        The flow of the rate, in 1e-6 tokens/s: larger flows are scaled down to it.
    """
    params, found = LATENCY_PARAMS, all_starts(run, static, policy)
    limits = Limits(shallowest_of(found), params.walks_factor)
    ahead = sorted(leading(run, found), key=limits.is_deep)
    walks = Walks(
        params.walks_effort, params.walks_time, params.steps_per_stage, limits.most_tpot_s
    )
    every = [limits.shallowest.found, *searched(run, ahead, walks), *ahead]
    contenders = []
    for one in every:
        cleaned = spread(used_part(one)) if run.left_s else one
        scaled = with_flow(carrying_no_more(cleaned.evaluated, needed), cleaned.policy)
        candidate = paced(offered, tuned(scaled)) if run.left_s else scaled
        guess_s, load = offered.guess_s(candidate), offered.load_of(candidate)
        contenders.append(Contender(candidate, guess_s, load))
    return sorted(contenders, key=_rank)


def from_uniform(
    run: Run, offered: Offered, problem: Problem, policy: Policy, needed: int
) -> list[Contender]:
    """Return the uniform placements, each with the best of three step limits, the fastest first.

    These are the largest steps, those that serve most, and those that make requests fast at the
    rate.
    """
    until_s = run.elapsed_s + run.left_s * LATENCY_PARAMS.uniform_share
    found: list[Contender] = []
    num_stages = 0
    for grid in uniform_grids(problem):
        widest = with_flow(carrying_no_more(grid, needed), policy)
        suited = tuned(widest)
        ways = [
            Contender(one, offered.guess_s(one), offered.load_of(one), is_uniform=True)
            for one in (paced(offered, suited), suited, widest)
        ]
        found.append(min(ways, key=_rank))
        num_stages += len(grid.placement)
        if num_stages > SUSTAINED_PARAMS.grid_stages or run.elapsed_s > until_s:
            break
    return sorted(found, key=_rank)


def _rank(one: Contender) -> tuple[float, float]:
    """Return what those that carry the rate are sorted by, the fastest first, before the others."""
    return max(1.0, one.load), one.guess_s


def paced(offered: Offered, found: Candidate) -> Candidate:
    """Return the candidate with the tokens of a step that make requests fast at the rate.

    Those that serve most at full load make decodes wait for longer prompts.
    """
    spec = found.evaluated.problem.spec
    best = found
    for policy in of_fewer_tokens(spec, found.policy):
        other = with_policy(found, policy)
        if _slowness(offered, other) < _slowness(offered, best) * (1 - SUSTAINED_PARAMS.noise):
            best = other
    return best


def _slowness(offered: Offered, found: Candidate) -> float:
    """Return the mean time of a request by the formula, and more where it is overloaded."""
    return offered.guess_s(found) * max(1.0, offered.load_of(found)) ** 2


def in_turn(
    by_queueing: Sequence[Contender],
    by_formula: Sequence[Contender],
    uniform: Sequence[Contender] = (),
) -> list[Contender]:
    """Return the contenders in the order of their trials.

    The leading ones of the first two lists take turns, with the best uniform ones between them, and
    then come the shallowest and the deepest that carry the rate by the formula.
    """
    params = LATENCY_PARAMS
    pairs = zip_longest(by_formula, by_queueing[: params.by_queueing])
    turns = [one for pair in pairs for one in pair if one is not None]
    carrying = [one for one in turns if one.load <= 1]
    by_depth = sorted(carrying, key=lambda one: one.hops)
    fast = uniform[: params.uniform]
    order = [*turns[:2], *fast[:1], *turns[2 : params.leading], *fast[1:]]
    order += [*by_depth[:1], *by_depth[-1:], *turns[params.leading :]]
    hopeful = [one for one in order if one.load <= params.most_load]
    return _distinct(hopeful or order)[: params.most_contenders]


def _distinct(contenders: Sequence[Contender]) -> list[Contender]:
    """Keep one of each flow, rate and steps: others like it differ only in names of hosts."""
    kept: dict[object, Contender] = {}
    for one in contenders:
        served = round(one.found.served.requests_per_s, 9)
        key = one.found.evaluated.value, served, one.found.policy
        first = kept.setdefault(key, one)
        kept[key] = replace(first, is_uniform=first.is_uniform or one.is_uniform)
    return list(kept.values())
