"""The door: a plan and what the user asks for, to files."""

from __future__ import annotations

from dataclasses import dataclass

from hexplan.engines.compressed import uncompressed_note
from hexplan.export.deploying import deployment
from hexplan.export.folder import File
from hexplan.export.options import ExportOptions, Target
from hexplan.export.targets import WRITERS
from hexplan.export.targets.slurm import agents_in_slurm
from hexplan.export.whole import WholePlan
from hexplan.plan import Plan


@dataclass(frozen=True, slots=True)
class Export:
    """Files of a target, and the plan of whole replicas that they are for."""

    whole: WholePlan | None
    """None for hexplan's own runtime, which runs every plan."""
    files: tuple[File, ...]
    note: str | None = None
    """What the engine does otherwise than the plan counts with."""


def export_plan(plan: Plan, target: Target, options: ExportOptions) -> Export:
    """Return the files of a target for a plan that keeps all rules of `check`.

    Raises
    ------
    CannotExpress
        The target cannot express the plan; the message says what of it, the hint what would help.
    """
    if options.engine == "hexplan":
        return Export(None, agents_in_slurm(plan))
    made = deployment(plan, options)
    note = uncompressed_note(made.plan, made.engine.title)
    return Export(made.whole, WRITERS[target](made), note)
