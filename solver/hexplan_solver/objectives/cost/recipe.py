"""The recipe for cost: the cheapest hosts that carry a rate, over links that may bind."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal

from hexplan.constants import MICRO
from hexplan.errors import HexplanError, InfeasibleError, LimitReached
from hexplan.plan import CertificateStatus, Plan
from hexplan.spec import Spec
from hexplan_solver.bounds.bounds import work_bound
from hexplan_solver.infeasible import refuse_if_infeasible
from hexplan_solver.objectives.cost.cheapest import cheapest_hosts, work_cost_bound
from hexplan_solver.objectives.cost.offers import Offers, offers_of, rented, with_rents
from hexplan_solver.objectives.demand import needed_flow, too_high
from hexplan_solver.objectives.idle import cost_of, without_idle
from hexplan_solver.objectives.restore import restored
from hexplan_solver.objectives.throughput import try_solve
from hexplan_solver.options import Report, SolveOptions, be_silent
from hexplan_solver.problem.problem import build_problem
from hexplan_solver.run import Run

ATTEMPTS = 4
"""Choices of hosts that are tried, each with more capacity than the one before."""
MILP_SHARE, SITES_SHARE, SOLVE_SHARE = 0.2, 0.3, 0.3
"""Shares of the time left for one choice of hosts, all choices within one site, and one solve."""
REFUSAL_S = 10.0
"""Seconds for the best plan and bound that a refusal tells."""
NOT_NEEDED = "not needed at this rate"
DIGITS = 6
"""Decimals of a bound on the cost, before it is rounded up to a sum of prices."""


def solve_cost(spec: Spec, options: SolveOptions | None = None, report: Report = be_silent) -> Plan:
    """Find the cheapest hosts whose plan carries the workload's rate, and prove a bound.

    Among plans of one cost, the one of larger flow is kept.

    Raises
    ------
    InfeasibleError
        If no plan carries the rate.
    LimitReached
        If none was found that does.
    """
    search = _Search(spec, Run(spec, options or SolveOptions(), report), needed_flow(spec))
    problem = build_problem(spec)
    refuse_if_infeasible(problem)
    search.run.lower(work_bound(problem), "work bound: exact arithmetic over all layer counts")
    if search.needed > search.run.bound:
        raise _too_high(search)
    return search.best()


@dataclass(slots=True)
class _Search:
    """One search under way."""

    spec: Spec
    run: Run
    needed: int
    """Flow in 1e-6 tokens/s."""
    found: Plan | None = None
    bound_usd_per_h: Decimal = Decimal(0)
    proof: str = "no price is below 0"

    def best(self) -> Plan:
        """Return the cheapest plan over the choices that are tried."""
        offers = offers_of(self.spec)
        limit_s = self.run.left_s * MILP_SHARE
        work = work_cost_bound(offers, self.needed, self.run.options, limit_s)
        self._prove(
            offers, work, "work bound: a knapsack cover of the work of all layers by the hosts"
        )
        carried = self._with_more_and_more(offers)
        if not carried:
            for chosen in self._single_sites(offers):
                self._try(chosen)
            self._all_hosts()
        if self.found is None:
            raise _too_high(self)
        return _finished(self, self.found)

    def _with_more_and_more(self, offers: Offers) -> bool:
        """Try the cheapest hosts, links ignored, then those of more capacity; say if any carry."""
        target = self.needed
        for attempt in range(ATTEMPTS):
            options, limit_s = self.run.options, self.run.left_s * MILP_SHARE
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
        """Yield the cheapest hosts within each site, for links that part the sites."""
        cluster = offers.problem.spec.cluster
        sites = sorted({host.site for host in cluster.hosts})
        if len(sites) == 1 or self.spec.cluster.layer_pins:
            return
        limit_s = self.run.left_s * SITES_SHARE / len(sites)
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
        """Plan on some hosts, drop what is not needed, and keep the plan if it is the cheapest."""
        limit_s = self.run.left_s * SOLVE_SHARE if limit_s is None else limit_s
        options = replace(self.run.options, time_limit_s=max(limit_s, 1e-3))
        try:
            plan = try_solve(rented(self.spec, chosen), options)
        except (InfeasibleError, LimitReached):
            return 0
        flow = int(plan.certificate.flow_tokens_per_s * MICRO)
        if flow < self.needed:
            return flow
        plan = without_idle(rented(self.spec, chosen), plan, self.needed, self.run)
        if self.found is None or _rank(plan) < _rank(self.found):
            self.found = plan
            self.run.tell("hosts", float(plan.certificate.flow_tokens_per_s))
        return flow

    def _prove(self, offers: Offers, bound: float, how: str) -> None:
        lower = offers.next_cost(Decimal(math.floor(bound * 10**DIGITS)).scaleb(-DIGITS))
        if lower > self.bound_usd_per_h:
            self.bound_usd_per_h, self.proof = lower, how


def _rank(plan: Plan) -> tuple[Decimal, Decimal]:
    return cost_of(plan) or Decimal(0), -plan.certificate.flow_tokens_per_s


def _finished(search: _Search, plan: Plan) -> Plan:
    """Restore the user's cluster, and state the cost and what is proved about it."""
    hosts = plan.cluster.host_by_name
    used = dict.fromkeys(stage.host for stage in plan.stages)
    taken = {n: spot is not None and spot.is_taken for n in used for spot in [hosts[n].spot]}
    cost, bound = cost_of(plan) or Decimal(0), search.bound_usd_per_h
    if bound > cost:
        message = f"a cost of {cost} USD/h is below the bound {bound} that was proved"
        raise HexplanError(message, hint="this is a bug of hexplan or of the MILP solver")
    proof = search.run.proof(int(plan.certificate.flow_tokens_per_s * MICRO))
    is_optimal = bound == cost
    status = CertificateStatus.OPTIMAL_IN_COST if is_optimal else CertificateStatus.FEASIBLE
    cluster = with_rents(search.spec.cluster, taken)
    plan = restored(plan, cluster, replace(proof, status=status), NOT_NEEDED)
    update = {
        "cost_bound_usd_per_h": bound,
        "cost_gap": _gap(cost, bound),
        "cost_proof": search.proof,
    }
    certificate = plan.certificate.model_copy(update=update)
    return plan.model_copy(update={"certificate": certificate, "solve": search.run.info()})


def _gap(cost: Decimal, bound: Decimal) -> Decimal | None:
    if not bound:
        return None
    units = math.ceil((cost - bound) / bound * MICRO)
    return Decimal(units) / MICRO


def _too_high(search: _Search, *, is_proved: bool = False) -> HexplanError:
    """Return the refusal, with the best plan and the best bound on all hosts."""
    run = search.run
    whole = replace(search.spec, objective="throughput")
    options = replace(run.options, time_limit_s=max(min(run.left_s, REFUSAL_S), 1e-3))
    try:
        best: Plan | None = try_solve(whole, options)
    except LimitReached:
        best = None
    if best is not None:
        bound = int(best.certificate.bound_tokens_per_s * MICRO)
        run.lower(bound, best.certificate.bound_proof)
    if is_proved and run.bound >= search.needed:
        run.lower(search.needed - 1, "coverage MILP of this rate: infeasible, asked twice")
    return too_high(search.spec, best, run.bound, run.how)
