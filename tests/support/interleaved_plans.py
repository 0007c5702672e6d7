"""A hand-made plan whose stage interleaves its steps, and what is wrong with others like it."""

from __future__ import annotations

from decimal import Decimal

from support.changes import broken, change_stage
from support.plans import mixed_stage_plan, resealed, two_hosts_plan

from hexplan.plan import Plan
from hexplan.techniques import Interleave, Techniques

LANES = Interleave(from_tokens=34, piece_tokens=375, slowdown=Decimal("1.15"))
"""Of three unlike devices; `test_interleaved_times.py` plays such lanes turn by turn."""


def interleaved_plan(**update: object) -> Plan:
    """Return a plan of one stage that interleaves, with figures of its lanes replaced."""
    asked = resealed(mixed_stage_plan(), techniques=Techniques(interleave="on"))
    return change_stage(asked, 0, interleave=LANES.model_copy(update=update))


BROKEN_LANES = (
    broken(
        "a stage that interleaves where nobody asked for it",
        change_stage(mixed_stage_plan(), 0, interleave=LANES),
        "HEX226",
    ),
    broken(
        "a stage of one device that interleaves",
        change_stage(
            resealed(two_hosts_plan(), techniques=Techniques(interleave="on")),
            1,
            interleave=LANES,
        ),
        "HEX226",
    ),
    broken("lanes from too small a step on", interleaved_plan(from_tokens=30), "HEX409"),
    broken("lanes from too large a step on", interleaved_plan(from_tokens=40), "HEX409"),
    broken("pieces too small", interleaved_plan(piece_tokens=20), "HEX409"),
    broken("lanes that slow each other down more", interleaved_plan(slowdown=Decimal(2)), "HEX409"),
)
