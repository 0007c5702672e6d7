"""Whatever a proof names, the check gives a verdict."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.forged import stating
from support.plans import two_sites_plan

from hexplan.bound_proof import BoundProof, CrossingProof, GroupPrice, PatternProof, ZoneProof
from hexplan.check import check_plan

PLAN = two_sites_plan()
sites = st.lists(st.sampled_from(["east", "west", "nowhere", ""]), max_size=3).map(tuple)
zones = st.lists(sites, max_size=3).map(tuple)
rates = st.decimals(0, 10**9, places=6)
prices = st.lists(
    st.builds(
        GroupPrice,
        host=st.sampled_from(["e", "w", "nobody"]),
        devices=st.sampled_from([("Quick",), ("Slow",), ("Slow", "Slow"), (), ("Fast",)]),
        price=st.decimals(0, 10**6, places=12),
    ),
    max_size=4,
).map(tuple)
proofs: st.SearchStrategy[BoundProof] = st.one_of(
    st.builds(PatternProof, prices=prices),
    st.builds(CrossingProof, zones=zones),
    st.builds(
        ZoneProof,
        zones=zones | st.just((("east",), ("west",))),
        most_tokens_per_s=st.lists(rates, max_size=3).map(tuple),
        prices=st.lists(prices, max_size=2).map(tuple),
        boxes=st.lists(st.integers(-4, 2), max_size=12).map(tuple),
    ),
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(proof=proofs, bound=rates)
def test_any_proof_gets_a_verdict(proof: BoundProof, bound: Decimal) -> None:
    for violation in check_plan(stating(PLAN, bound + PLAN.certificate.flow_tokens_per_s, proof)):
        assert str(violation)
