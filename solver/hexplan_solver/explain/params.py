"""Constants of an explanation that a person may want to change."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ExplainParams:
    """How much an explanation tries and tells.

    The values were set by hand, with the example specs in view; none was fitted.
    """

    search_s: float = 5.0
    """Seconds in which a plan is searched for each changed cluster, if the caller sets no limit."""
    max_tries: int = 300
    """Stages of idle devices that are tried for one host; of more, an even selection is tried, as
    each costs an exact max-flow."""
    max_options: int = 4
    """Alternatives that are told for one kind of stage."""


EXPLAIN_PARAMS = ExplainParams()
