"""What a certificate says of a trusted bound, and whether its status claims too much."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from hexplan.check.exact import RATE_STEP, exact
from hexplan.check.lookup import Lookup
from hexplan.check.rule import Rule, Violation
from hexplan.check.text import number, rate
from hexplan.constants import CertificateStatus

REACH_TOLERANCE = Fraction(2, 10**6)
"""How far a flow may stay below a bound that it reaches, as a share of the bound.

The bounds of MILPs are raised by 1e-6 for the tolerances of their solvers, and the search for
better bounds ends within 1e-6 of the flow."""

TRUSTED_WRONG = Rule(
    "HEX802",
    "trusted-wrong",
    "A trusted bound names the program that is trusted. It is at least the flow, and its gap is"
    " (bound - flow) / flow, rounded up by at most 1e-6. It is below the proved bound, unless it"
    " holds for all ways to join hosts.",
)


def trusted_violations(lookup: Lookup) -> Iterator[Violation]:
    """Yield a trusted bound that contradicts the rest, and a status that goes beyond the bounds."""
    yield from _status(lookup)
    certificate = lookup.plan.certificate
    trusted, flow = certificate.trusted, exact(certificate.flow_tokens_per_s)
    if trusted is None:
        return
    where, bound = "certificate, trusted", exact(trusted.tokens_per_s)
    if not trusted.by.strip():
        yield TRUSTED_WRONG.at(where, "names no program, needed the one that is trusted")
    if bound < flow:
        message = f"bound {rate(bound)} is below the flow {rate(flow)}"
        yield TRUSTED_WRONG.at(where, message)
    elif flow:
        stated, gap = exact(trusted.gap), (bound - flow) / flow
        if not gap <= stated <= gap + RATE_STEP:
            message = f"states a gap of {number(stated)}, but it is {number(gap)}"
            yield TRUSTED_WRONG.at(where, message)
    proved = exact(certificate.bound_tokens_per_s)
    if bound >= proved and trusted.kind != "joins":
        message = f"bound {rate(bound)} is not below the proved bound {rate(proved)}"
        yield TRUSTED_WRONG.at(where, message)


STATUS_WRONG = Rule(
    "HEX803",
    "status-wrong",
    "The status is one of those that `solve` states; only a baseline words its own. It is"
    " `optimal` only if the flow reaches the proved bound, `optimal if trusted` only if it reaches"
    " the trusted one, and `optimal in cost` only if the cost reaches its bound.",
)


def _status(lookup: Lookup) -> Iterator[Violation]:
    certificate, where = lookup.plan.certificate, "certificate, status"
    status, flow = certificate.status, exact(certificate.flow_tokens_per_s)
    trusted, cost = certificate.trusted, certificate.cost_bound_usd_per_h
    if status not in set(CertificateStatus):
        if lookup.plan.solve.method == "hexplan":
            words = ", ".join(CertificateStatus)
            yield STATUS_WRONG.at(where, f"states {status}, needed one of {words}")
    elif status == CertificateStatus.OPTIMAL_IN_COST:
        if cost is None or cost != lookup.plan.predicted.cost_usd_per_h:
            yield STATUS_WRONG.at(where, f"states {status}, but the cost is not its bound")
    elif status == CertificateStatus.OPTIMAL:
        bound = exact(certificate.bound_tokens_per_s)
        if not _reaches(flow, bound):
            message = f"states {status}, but the flow {rate(flow)} is below {rate(bound)}"
            yield STATUS_WRONG.at(where, message)
    elif status == CertificateStatus.OPTIMAL_IF_TRUSTED and (
        trusted is None or not _reaches(flow, exact(trusted.tokens_per_s))
    ):
        yield STATUS_WRONG.at(where, f"states {status}, but the flow reaches no trusted bound")


def _reaches(flow: Fraction, bound: Fraction) -> bool:
    return bound - flow <= bound * REACH_TOLERANCE + 2 * RATE_STEP
