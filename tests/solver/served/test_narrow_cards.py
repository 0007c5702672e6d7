"""A network card that one edge uses limits the served rate, as one that several share does."""

from __future__ import annotations

from support.clusters import device_type, host, spec_of, tiny_model

from hexplan.check import check_plan
from hexplan.cluster import Coordinator
from hexplan_solver import SolveOptions, solve

NIC_BYTES_PER_S = 1360


def test_no_more_is_served_than_the_card_of_the_coordinator_lets_in() -> None:
    """A request sends 64 prompt tokens and 63 of its output in, of 4 bytes each."""
    narrow = Coordinator(site="here", nic_in_bytes_per_s=10**9, nic_out_bytes_per_s=NIC_BYTES_PER_S)
    spec = spec_of(tiny_model(4), [host("h0", ["d"])], types=[device_type("d")], coordinator=narrow)
    plan = solve(spec, SolveOptions(time_limit_s=20))
    rate = plan.predicted.sustained
    assert rate is not None
    most = NIC_BYTES_PER_S / 4 / (64 + 63)
    # A rehearsal measures some time, at whose ends a message more or less may count.
    assert 0 < float(rate.requests_per_s) <= most * 1.001
    assert check_plan(plan) == ()
