"""Advice on families 7 and 8: certificate, prediction and bound."""

from __future__ import annotations

from hexplan.check.advice.advice import SOLVE_AGAIN, Advice

_TRUST = "Readers decide by these figures, and have no other way to tell them from wishes."

FIGURES = {
    "HEX701": Advice("Everything else is measured against the flow.", SOLVE_AGAIN),
    "HEX702": Advice("A price on something that does not exist proves nothing.", SOLVE_AGAIN),
    "HEX703": Advice("The cut would prove too little or too much.", SOLVE_AGAIN),
    "HEX704": Advice(
        "A route that pays less than 1 may carry flow that the cut does not count, so that nothing"
        " is proved.",
        SOLVE_AGAIN,
    ),
    "HEX705": Advice("The sum is what the cut proves.", SOLVE_AGAIN),
    "HEX706": Advice("One of the two is wrong: no flow is above a cut.", SOLVE_AGAIN),
    "HEX707": Advice(
        "On this placement more could be carried, so that the plan wastes devices.",
        "Solve again, or find new routes with `hexplan replan PLAN --spec SPEC --routes-only`.",
    ),
    "HEX708": Advice("One of the two is wrong: no flow is above a bound.", SOLVE_AGAIN),
    "HEX709": Advice("The gap says how much a better plan could bring.", SOLVE_AGAIN),
    "HEX710": Advice(_TRUST, SOLVE_AGAIN),
    "HEX711": Advice(
        "The plan was asked to carry a rate, and does not.",
        "Solve again; if that finds no plan, add devices or lower `request_rate`.",
    ),
    "HEX712": Advice("The cost is what somebody will be billed.", SOLVE_AGAIN),
    "HEX713": Advice("It says how much cheaper another plan could be.", SOLVE_AGAIN),
    "HEX714": Advice(_TRUST, SOLVE_AGAIN),
    "HEX715": Advice("The band says how far the flow may be off.", SOLVE_AGAIN),
    "HEX716": Advice("It says what was measured and what was assumed.", SOLVE_AGAIN),
    "HEX717": Advice(
        "No schedule on this placement serves so much.",
        "Solve again; `hexplan check --simulate` shows which figure does not come out.",
    ),
    "HEX718": Advice(
        "No request can be served so fast on these devices and links.",
        "Solve again; `hexplan check --simulate` shows which figure does not come out.",
    ),
    "HEX719": Advice("A promise without a run that kept it is a guess.", SOLVE_AGAIN),
    "HEX720": Advice(_TRUST, SOLVE_AGAIN),
    "HEX730": Advice(
        "The objective `balanced` promises latencies near those of the shallowest plan.",
        "Solve again, or raise `limits.latency_factor`.",
    ),
    "HEX801": Advice(
        "A bound that its proof does not give may be a forgery: the gap would look small where a"
        " much better plan exists.",
        SOLVE_AGAIN,
    ),
    "HEX802": Advice(
        "What rests on a program has to say so, and has to be worth the trust.", SOLVE_AGAIN
    ),
    "HEX803": Advice("`optimal` ends the search of everyone who reads it.", SOLVE_AGAIN),
    "HEX804": Advice("The proof is about another cluster.", SOLVE_AGAIN),
}
