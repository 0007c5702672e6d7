"""Plans that the runtime cannot run yet."""

from __future__ import annotations

from hexplan.check.lookup import Lookup
from hexplan.check.stage.offloading import offload_obstacle
from hexplan.check.stage.sharing import obstacle
from hexplan.errors import InputError
from hexplan.plan import Plan, Stage
from hexplan.wording import TOGETHER_HINT
from hexplan_runtime.model.architecture import OWN_FAMILIES


def require_supported(plan: Plan) -> None:
    """Refuse a plan that this machine's ranks would run wrongly, or could not run.

    Raises
    ------
    InputError
        Prefill and decode are on different stages. Or a stage is `sp` or `shift`, and its devices
        cannot share out tokens. Or it has several devices for a family that runs through the layers
        of transformers, which are not cut. Or it is for float16 on a processor that has no
        arithmetic for that. Or one uses host memory and cannot.
    """
    if plan.is_split:
        message = "found stages that only prefill or only decode, needed all to serve both"
        raise InputError(message, hint=TOGETHER_HINT)
    _require_fast_type(plan)
    family, lookup = plan.model.family, Lookup.of(plan)
    for stage in plan.stages:
        reason = obstacle(lookup, stage) if stage.parallel != "tp" else ""
        if reason:
            message = f"stage {stage.id}: found parallel {stage.parallel}, but {reason}"
            hint = "solve again: the planner makes such stages only where ranks can run them"
            raise InputError(message, hint=hint)
        _require_fetching(lookup, stage)
        if stage.tp > 1 and family not in OWN_FAMILIES:
            message = (
                f"stage {stage.id}: found {stage.tp} devices for a {family} model, needed one:"
                " its layers are those of transformers, which are not cut"
            )
            hint = "solve again with each device as a host of its own, or serve it elsewhere"
            raise InputError(message, hint=hint)


def _require_fetching(lookup: Lookup, stage: Stage) -> None:
    """Refuse a stage with keys and values in host memory that no rank could fetch for."""
    how, family = stage.kv_offload, lookup.plan.model.family
    if how is None:
        return
    reason = offload_obstacle(lookup, stage, how)
    if family not in OWN_FAMILIES:
        reason = (
            f"it uses host memory, and the layers of a {family} model are those of transformers,"
            " which do not"
        )
    if reason:
        hint = "solve again, with `techniques: {kv_offload: off}` if need be"
        message = f"stage {stage.id}: {reason}"
        raise InputError(message, hint=hint)


def _require_fast_type(plan: Plan) -> None:
    """Refuse float16 on processors that torch converts it on, number by number."""
    if plan.model.dtype != "float16":
        return
    kinds = {device.name: device.kind for device in plan.cluster.device_types}
    devices = {host.name: host.devices for host in plan.cluster.hosts}
    planned = {kinds[devices[s.host][i]] for s in plan.stages for i in s.devices}
    if "cpu" not in planned:
        return
    from hexplan_runtime.runner.device import has_half_arithmetic

    if not has_half_arithmetic():
        message = (
            "found a model in float16 on CPU slots, and this processor has no arithmetic for it:"
            " steps of 8 rows take 6 times as long as in bfloat16, and of 32 rows 25 times"
        )
        hint = "plan it in another type: `model: {path: FOLDER, dtype: bfloat16}`, or float32"
        raise InputError(message, hint=hint)
