"""Plans that the runtime cannot run yet."""

from __future__ import annotations

from hexplan.errors import InputError
from hexplan.plan import Plan


def require_tensor_parallel(plan: Plan) -> None:
    """Refuse a plan whose stages split a prompt's tokens: ranks would run them tensor parallel.

    Raises
    ------
    InputError
        A stage is `sp` or `shift`.
    """
    for stage in plan.stages:
        if stage.parallel != "tp":
            message = f"stage {stage.id}: found parallel {stage.parallel}, needed tp to launch it"
            hint = "solve again with `limits: {parallel: [tp]}`; `hexplan simulate` runs all plans"
            raise InputError(message, hint=hint)
