"""Why each rule is there, and how to mend a plan that breaks it."""

from collections.abc import Mapping

from hexplan.check.advice.advice import Advice
from hexplan.check.advice.engines import ENGINES
from hexplan.check.advice.figures import FIGURES
from hexplan.check.advice.flows import FLOWS
from hexplan.check.advice.names import NAMES, PLACEMENT
from hexplan.check.advice.sizes import SIZES
from hexplan.check.advice.warned import WARNED

ADVICE: Mapping[str, Advice] = {
    **WARNED,
    **NAMES,
    **PLACEMENT,
    **ENGINES,
    **SIZES,
    **FLOWS,
    **FIGURES,
}
"""By the ids of rules."""

__all__ = ["ADVICE", "Advice"]
