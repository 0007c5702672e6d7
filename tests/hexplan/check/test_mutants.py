"""No mutant of a plan is accepted that misstates something the plan states."""

from __future__ import annotations

import pytest
from support.broken_figures import PROMISED, TIMED
from support.broken_objectives import PRICED
from support.changes import change_plan
from support.grouped_plans import GROUPED
from support.joined_plans import GOOD_JOINED
from support.made_plans import OBJECTIVES, made_plan
from support.mutants import Mutant, mutants
from support.plans import mixed_stage_plan, profiled_plan, two_hosts_plan, two_sites_plan
from support.shared_plans import pair_plan
from support.split_plans import split_plan

from hexplan.check import check_plan
from hexplan.plan import Plan
from hexplan_solver.repeat import repeat

SEED, SHORT, LONG = 20261129, 150, 3000
"""Fixed before anybody looked at what the mutants of this seed do."""

NO_CLAIM = {
    "version": "only one version parses",
    "solve": "how the plan was made, and when; nothing is computed from it",
    "stages.id": "a name; what refers to it has to know it (HEX107)",
    "unused.reason": "words for people, about plans that were not made",
    "certificate.cost_proof": "words for people, about a bound that is said to be trusted",
    "certificate.trusted.by": "the name and version of the program that is trusted",
    "cluster_sha256": "made to fit",
    "inputs_sha256": "made to fit",
}
"""Fields that state nothing that could be wrong, each with the reason."""

TRUSTED = {
    "predicted.balance.ttft_s": "the shallowest plan's, times the factor",
    "predicted.balance.tpot_s": "the shallowest plan's, times the factor",
    "predicted.balance.hops": "the shallowest plan's",
}
"""Figures of another plan, which the file does not hold; docs/check.md says so."""

PREMISES = {
    "cluster": "the user's machines and links",
    "model": "the user's model; of one in the catalog, the facts are compared with it",
    "workload": "the user's requests",
}
"""What a plan is for. The hashes give changes of it away (`test_a_premise...`).

With new hashes it is another plan, for other premises. It may be accepted, as every claim about
them was computed again.
"""

INSTRUCTIONS = {
    "step_limits": "limits that no step reaches may change without any figure changing",
}
"""What the launch is told to do; figures that depend on it are held against it by `--simulate`."""


def is_explained(mutant: Mutant) -> bool:
    """Say whether a mutant may be accepted: what it changes is no claim, or not for this test."""
    place = mutant.place
    known = (*NO_CLAIM, *TRUSTED, *PREMISES, *INSTRUCTIONS)
    is_order = mutant.what.endswith("swapped") and isinstance(mutant.steps[-1], str)
    return is_order or any(place == name or place.startswith(f"{name}.") for name in known)


def accepted(plans: list[Plan], count: int) -> list[str]:
    """Return the mutants that are accepted, though they misstate something.

    Simulated figures are computed again where the other rules accept a mutant.
    """
    found = []
    for mutant in mutants(plans, SEED, count):
        if is_explained(mutant) or check_plan(mutant.plan):
            continue
        if check_plan(mutant.plan, repeat(mutant.plan)) == ():
            found.append(str(mutant))
    return found


def hand_made() -> list[Plan]:
    made = [two_hosts_plan(), profiled_plan(), two_sites_plan(), mixed_stage_plan()]
    shared = [pair_plan("sp"), pair_plan("shift")]
    return [*made, *shared, GROUPED, split_plan(), PROMISED, TIMED, PRICED, *GOOD_JOINED]


def test_no_mutant_is_accepted_that_misstates_something() -> None:
    solved = [made_plan("laptop", objective) for objective in OBJECTIVES]
    assert accepted([*hand_made(), *solved], SHORT) == []


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_no_mutant_of_three_thousand_is_accepted_that_misstates_something() -> None:
    names = ("laptop", "home-lab", "four-single-a100s")
    solved = [made_plan(name, objective) for name in names for objective in OBJECTIVES]
    wide = [made_plan("two-datacentres", "throughput"), made_plan("hexgen-half30", "cost")]
    assert accepted([*hand_made(), *solved, *wide], LONG) == []


@pytest.mark.parametrize("premise", [*PREMISES, "objective"])
def test_a_premise_that_changed_under_its_hash_is_refused(premise: str) -> None:
    plan = two_hosts_plan()
    other = change_plan(plan, objective="cost") if premise == "objective" else two_sites_plan()
    if premise == "workload":
        other = PROMISED
    changed = plan.model_copy(update={premise: getattr(other, premise)})
    assert "HEX102" in {found.rule for found in check_plan(changed)}
