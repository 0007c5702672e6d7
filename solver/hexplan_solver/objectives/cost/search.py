"""The search for the cheapest hosts that carry a rate.

The first choice is the cheapest if links are ignored. If its links do not carry the rate, choices
of more capacity are tried, then the cheapest hosts within each site, and at last all hosts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal

from hexplan.constants import MICRO, NO_COST_PROOF, TRUSTED_COST
from hexplan.errors import HexplanError, InfeasibleError, LimitReached
from hexplan.spec import Spec
from hexplan_solver.bounds.work_bound import quick_bound
from hexplan_solver.infeasible import refuse_if_infeasible
from hexplan_solver.objectives.cost.cheapest import cheapest_hosts, work_cost_bound
from hexplan_solver.objectives.cost.idle import without_idle
from hexplan_solver.objectives.cost.offers import Offers, offers_of, rented, with_rents
from hexplan_solver.objectives.cost.params import COST_PARAMS
from hexplan_solver.objectives.demand import needed_flow, too_high
from hexplan_solver.objectives.throughput import draft_throughput
from hexplan_solver.options import Report, SolveOptions, be_silent
from hexplan_solver.plans.draft import CostProof, Draft, IdleReasons
from hexplan_solver.problem.problem import build_problem
from hexplan_solver.run import Run, program_of

NOT_NEEDED = "not needed at this rate"


def draft_cost(spec: Spec, options: SolveOptions, report: Report = be_silent) -> Draft:
    """Find the cheapest hosts whose plan carries the workload's rate, and prove a bound.

    Among plans of one cost, the one of larger flow is kept.

    Raises
    ------
    InfeasibleError
        If no plan carries the rate.
    LimitReached
        If no plan was found that does.
    """
    search = _Search(spec, Run(spec, options, report), needed_flow(spec))
    problem = build_problem(spec)
    refuse_if_infeasible(problem)
    search.run.lower(quick_bound(problem))
    if search.needed > search.run.bound:
        raise _too_high(search)
    return search.best()


@dataclass(slots=True)
class _Search:
    """A search, with the cheapest plan and the best bound so far."""

    spec: Spec
    run: Run
    needed: int
    """Flow in 1e-6 tokens/s."""
    found: Draft | None = None
    bound_usd_per_h: Decimal = Decimal(0)
    proof: str = NO_COST_PROOF

    def best(self) -> Draft:
        """Return the cheapest draft over all choices of hosts that are tried."""
        offers = offers_of(self.spec)
        limit_s = self.run.left_s * COST_PARAMS.milp_share
        work = work_cost_bound(offers, self.needed, self.run.options, limit_s)
        self._prove(
            offers, work, "work bound: a knapsack cover of the work of all layers by the hosts"
        )
        carried = self._with_more_capacity(offers)
        if not carried:
            for chosen in self._single_sites(offers):
                self._try(chosen)
            self._all_hosts()
        if self.found is None:
            raise _too_high(self)
        return _finished(self, self.found)

    def _with_more_capacity(self, offers: Offers) -> bool:
        """Try the cheapest hosts, then choices of more capacity; say whether one carries the rate.

        Each choice is the cheapest that covers a target if links are ignored. The target is raised
        by the share that the links of the last choice were short of, at most to twice as much.
        """
        target = self.needed
        for attempt in range(COST_PARAMS.attempts):
            options, limit_s = self.run.options, self.run.left_s * COST_PARAMS.milp_share
            choice = cheapest_hosts(offers, target, options, limit_s)
            if attempt == 0:
                how = "coverage bound: dual bound of the MILP of the cheapest hosts, links ignored"
                self._prove(offers, choice.bound_usd_per_h, how)
                if choice.is_infeasible:
                    again = replace(options, presolve=False)
                    choice = cheapest_hosts(offers, target, again, limit_s)
                    if choice.is_infeasible:
                        raise _too_high(self, is_proved=True)
            if choice.counts is None:
                return False
            flow = self._try(offers.hosts(choice.counts))
            if flow >= self.needed:
                return True
            target = math.ceil(target * self.needed / max(flow, self.needed // 2))
        return False

    def _single_sites(self, offers: Offers) -> Iterator[dict[str, bool]]:
        """Yield the cheapest hosts within each site, as links between sites may carry little."""
        cluster = offers.problem.spec.cluster
        sites = sorted({host.site for host in cluster.hosts})
        if len(sites) == 1 or self.spec.cluster.layer_pins:
            return
        limit_s = self.run.left_s * COST_PARAMS.sites_share / len(sites)
        for site in sites:
            names = [host.name for host in cluster.hosts if host.site == site]
            kept = [i for i, c in enumerate(offers.problem.classes) if c.hosts[0] in names]
            part = replace(offers, problem=offers.problem.only(names))
            rivals = tuple(group for group in offers.rivals if group[0] in kept)
            choice = cheapest_hosts(
                replace(part, rivals=rivals), self.needed, self.run.options, limit_s
            )
            if choice.counts is not None:
                yield replace(offers, rivals=rivals).hosts(choice.counts)

    def _all_hosts(self) -> None:
        """Plan on all hosts at their full price, and drop those that are not needed."""
        chosen = {host.name: False for host in self.spec.cluster.hosts}
        self._try(chosen, self.run.left_s)

    def _try(self, chosen: dict[str, bool], limit_s: float | None = None) -> int:
        """Plan on some hosts without those not needed, keep the cheapest plan, return the flow."""
        limit_s = self.run.left_s * COST_PARAMS.solve_share if limit_s is None else limit_s
        options = self.run.nested(limit_s, COST_PARAMS.solve_share)
        try:
            draft = draft_throughput(rented(self.spec, chosen), options)
        except (InfeasibleError, LimitReached):
            return 0
        flow = draft.value
        if flow < self.needed:
            return flow
        draft = without_idle(draft, self.needed)
        if self.found is None or _rank(draft) < _rank(self.found):
            self.found = draft
            self.run.tell("hosts", draft.value / MICRO)
        return flow

    def _prove(self, offers: Offers, bound: float, how: str) -> None:
        digits = COST_PARAMS.bound_digits
        lower = offers.next_cost(Decimal(math.floor(bound * 10**digits)).scaleb(-digits))
        if lower > self.bound_usd_per_h:
            self.bound_usd_per_h, self.proof = lower, TRUSTED_COST + how


def _rank(draft: Draft) -> tuple[Decimal, int]:
    return draft.cost_usd_per_h or Decimal(0), -draft.value


def _finished(search: _Search, draft: Draft) -> Draft:
    """Put the draft back on the user's cluster, with the cost and its proof."""
    hosts = draft.user_cluster.host_by_name
    spots = {name: hosts[name].spot for name in draft.used_hosts}
    taken = {name: spot is not None and spot.is_taken for name, spot in spots.items()}
    cost, bound = draft.cost_usd_per_h or Decimal(0), search.bound_usd_per_h
    if bound > cost:
        message = f"a cost of {cost} USD/h is below the bound {bound} that was proved"
        raise HexplanError(message, hint="this is a bug of hexplan or of the MILP solver")
    status = "optimal in cost" if bound == cost else "feasible"
    return replace(
        draft,
        objective="cost",
        cluster=with_rents(search.spec.cluster, taken),
        proof=replace(search.run.proof(draft.value), status=status),
        idle=IdleReasons(host=NOT_NEEDED),
        cost_proof=CostProof(bound, search.proof),
    )


def _too_high(search: _Search, *, is_proved: bool = False) -> HexplanError:
    """Return the refusal, which states the best plan and the best bound on all hosts."""
    run = search.run
    whole = replace(search.spec, objective="throughput")
    try:
        options = run.nested(min(run.left_s, COST_PARAMS.refusal_s))
        best: Draft | None = draft_throughput(whole, options)
    except LimitReached:
        best = None
    if best is not None:
        run.take(best.proof)
    if is_proved and run.bound >= search.needed:
        run.trust(search.needed - 1, "coverage", program_of(run.options))
    return too_high(search.spec, best, run.bound, run.how)
