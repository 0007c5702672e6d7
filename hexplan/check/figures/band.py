"""The band of a prediction, and what it rests on (docs/formulation.md 4, "How sure")."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from fractions import Fraction

from hexplan.check.exact import RATE_STEP, WEIGHT_STEP, exact
from hexplan.check.lookup import Lookup
from hexplan.check.rule import Rule, Violation
from hexplan.check.text import number, rate
from hexplan.plan import CutTerm, Stage

LINKS = "links"


BAND_WRONG = Rule(
    "HEX715",
    "band-wrong",
    "`least_tokens_per_s` is the flow less the largest error of the stages in use, and"
    " `most_tokens_per_s` the sum of price times capacity, each raised by its stage's error.",
)


def band_violations(lookup: Lookup) -> Iterator[Violation]:
    """Yield band limits that do not follow from the errors, and wrong bases."""
    predicted, certificate = lookup.plan.predicted, lookup.plan.certificate
    loaded = [stage for stage in lookup.plan.stages if stage.load_tokens_per_s]
    worst = max((exact(stage.speed_error) for stage in loaded), default=Fraction(0))
    least = exact(certificate.flow_tokens_per_s) * (1 - worst)
    stated = exact(predicted.least_tokens_per_s)
    if not least - RATE_STEP < stated <= least:
        message = f"states {rate(stated)}, but the flow less {number(worst)} of it is {rate(least)}"
        yield BAND_WRONG.at("prediction, least_tokens_per_s", message)
    most = sum((_value(t) * (1 + _error(lookup, t)) for t in certificate.cut), Fraction(0))
    stated = exact(predicted.most_tokens_per_s)
    if not most <= stated < most + RATE_STEP:
        message = f"states {rate(stated)}, but the raised terms of the cut sum to {rate(most)}"
        yield BAND_WRONG.at("prediction, most_tokens_per_s", message)
    yield from _bases(lookup)


BASIS_WRONG = Rule(
    "HEX716",
    "basis-wrong",
    "`rests_on` names each origin of the cut's terms once, with its share of the cut's value.",
)


def _bases(lookup: Lookup) -> Iterator[Violation]:
    values: dict[str, Fraction] = defaultdict(Fraction)
    for term in lookup.plan.certificate.cut:
        stage = _stage(lookup, term)
        values[stage.speed_origin if stage else LINKS] += _value(term)
    bases = lookup.plan.predicted.rests_on
    listed = Counter(basis.origin for basis in bases)
    if listed != Counter(list(values)):
        message = f"names {sorted(listed.elements())}, but the cut rests on {sorted(values)}"
        yield BASIS_WRONG.at("prediction, rests_on", message)
        return
    whole = sum(values.values())
    for basis in bases:
        share = values[basis.origin] / whole if whole else Fraction(0)
        if abs(exact(basis.share) - share) > 2 * WEIGHT_STEP:
            message = f"states {number(basis.share)} for {basis.origin}, but it is {number(share)}"
            yield BASIS_WRONG.at("prediction, rests_on", message)
    if sum(exact(basis.share) for basis in bases) != 1:
        yield BASIS_WRONG.at("prediction, rests_on", "the shares must sum to 1")


def _value(term: CutTerm) -> Fraction:
    return exact(term.price) * exact(term.capacity)


def _error(lookup: Lookup, term: CutTerm) -> Fraction:
    stage = _stage(lookup, term)
    return exact(stage.speed_error) if stage else Fraction(0)


def _stage(lookup: Lookup, term: CutTerm) -> Stage | None:
    family, _, name = term.constraint.partition(":")
    return lookup.stages.get(name) if family == "stage" else None
