"""Plans whose bound, trusted bound or status claims more than can be recomputed."""

from __future__ import annotations

from decimal import Decimal

from support.changes import broken, change_certificate
from support.plans import profiled_plan, two_hosts_plan

from hexplan.bound_proof import GroupPrice, PatternProof, TrustedBound, WorkProof

TWO = two_hosts_plan()
PROFILED = profiled_plan()
"""Its flow is 85 tokens/s, its bound what the coordinator passes: 250,000."""
TRUSTED = TrustedBound(
    tokens_per_s=Decimal(90), gap=Decimal("0.058824"), kind="coverage", by="HiGHS 1.0"
)
HELD = change_certificate(PROFILED, trusted=TRUSTED)
"""`profiled_plan` with a trusted bound, which breaks no rule."""


def _trusted(**update: object) -> TrustedBound:
    return TRUSTED.model_copy(update=update)


BROKEN_BOUNDS = (
    broken(
        "a bound lowered to the flow",
        change_certificate(PROFILED, bound_tokens_per_s=Decimal(85), gap=Decimal(0)),
        "HEX801",
    ),
    broken(
        "a bound lowered to the flow, called optimal",
        change_certificate(
            PROFILED, bound_tokens_per_s=Decimal(85), gap=Decimal(0), status="optimal"
        ),
        "HEX801",
    ),
    broken(
        "a bound of the work that is lowered to the flow",
        change_certificate(
            TWO,
            bound_tokens_per_s=TWO.certificate.flow_tokens_per_s,
            gap=Decimal(0),
            proof=WorkProof(),
        ),
        "HEX801",
    ),
    broken(
        "a price for a host that is not there",
        change_certificate(
            TWO,
            proof=PatternProof(
                prices=(GroupPrice(host="nowhere", devices=("Big",), price=Decimal(1)),)
            ),
        ),
        "HEX804",
    ),
    broken(
        "a trusted bound below the flow",
        change_certificate(PROFILED, trusted=_trusted(tokens_per_s=Decimal(84))),
        "HEX802",
    ),
    broken(
        "a trusted bound with a gap that is too small",
        change_certificate(PROFILED, trusted=_trusted(gap=Decimal("0.05"))),
        "HEX802",
    ),
    broken(
        "a trusted bound that names no program",
        change_certificate(PROFILED, trusted=_trusted(by=" ")),
        "HEX802",
    ),
    broken(
        "a trusted bound that says less than the proved one",
        change_certificate(
            PROFILED, trusted=_trusted(tokens_per_s=Decimal(250_085), gap=Decimal("2941.176471"))
        ),
        "HEX802",
    ),
    broken("a status of its own words", change_certificate(TWO, status="proved optimal"), "HEX803"),
    broken("a status that says optimal", change_certificate(TWO, status="optimal"), "HEX803"),
    broken(
        "a status that goes beyond the trusted bound",
        change_certificate(PROFILED, trusted=TRUSTED, status="optimal if trusted"),
        "HEX803",
    ),
    broken(
        "a status that says optimal in cost without a cost",
        change_certificate(TWO, status="optimal in cost"),
        "HEX803",
    ),
)
