"""Plans that the runtime cannot run yet."""

from __future__ import annotations

from hexplan.errors import InputError
from hexplan.plan import Plan
from hexplan_runtime.model.architecture import OWN_FAMILIES


def require_supported(plan: Plan) -> None:
    """Refuse a plan that this machine's ranks would run wrongly, or could not run.

    Raises
    ------
    InputError
        A stage is `sp` or `shift`: ranks would run it tensor parallel. Or it has several devices
        for a family that runs through the layers of transformers, which are not cut.
    """
    family = plan.model.family
    for stage in plan.stages:
        if stage.parallel != "tp":
            message = f"stage {stage.id}: found parallel {stage.parallel}, needed tp to launch it"
            hint = "solve again with `limits: {parallel: [tp]}`; `hexplan simulate` runs all plans"
            raise InputError(message, hint=hint)
        if stage.tp > 1 and family not in OWN_FAMILIES:
            message = (
                f"stage {stage.id}: found {stage.tp} devices for a {family} model, needed one:"
                " its layers are those of transformers, which are not cut"
            )
            hint = "solve again with each device as a host of its own, or serve it elsewhere"
            raise InputError(message, hint=hint)
