"""Advice on warnings, and on rules that need more than the plan."""

from __future__ import annotations

from hexplan.check.advice.advice import Advice

WARNED = {
    "HEX001": Advice(
        "Allocators fragment and drivers grow. A device that is planned to its last per cent runs"
        " out of memory under load, and takes its stage down.",
        "Lower `limits.memory_fraction`, or say what other programs take by `in_use` of the host.",
    ),
    "HEX002": Advice(
        "Datasheets say what a device could do, and kernels reach a share of it that differs by"
        " model, batch and driver. The plan may put too many layers on a device.",
        "Measure once with `hexplan profile` and name the file under `profiles`; or compare a"
        " running deployment with `hexplan calibrate`.",
    ),
    "HEX003": Advice(
        "A request of the longest length keeps the next one waiting until it ends.",
        "Give the stage fewer layers or more devices, or lower the longest lengths in `workload`.",
    ),
    "HEX004": Advice(
        "If this host stops, nothing is served until it is back or `hexplan replan --without` has"
        " found another plan.",
        "Plan for a second route: add a host, or ask for `objective: throughput`, which uses all.",
    ),
    "HEX901": Advice(
        "A figure that the simulator does not give again was changed, or comes from another"
        " version of the simulator.",
        "Solve again with this version. `hexplan simulate PLAN` shows what it gives.",
    ),
    "HEX902": Advice(
        "The plan was made for other machines, another model or another load than the file"
        " describes now. It may not fit, or may leave new devices idle.",
        "Solve again, or keep most weights where they are with `hexplan replan PLAN --spec SPEC`.",
    ),
}
