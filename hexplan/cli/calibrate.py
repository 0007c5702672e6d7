"""The `calibrate` command: compare a plan's predictions with a launch."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Annotated

import typer

from hexplan.cli.inputs import PlanFile, source
from hexplan.cli.output import emit, require_sound


def calibrate(
    plan_file: PlanFile,
    observed: Annotated[
        Path, typer.Argument(metavar="OBSERVED", help="The file that `launch --observe` wrote.")
    ],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Write the corrections here, as an overlay."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an older overlay.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the comparison as JSON on stdout.")
    ] = False,
) -> None:
    """Compare a plan's predictions with an observed launch, and correct them.

    Compares the time of every step and every message with what the plan's cost model predicts.
    For each device type and degree, fits one factor for prompts and one for decodes.
    """
    from hexplan.measured.calibration.calibrate import calibrate as compare
    from hexplan.measured.observations import read_observations
    from hexplan.measured.overlay_file import check_target, write_corrections
    from hexplan.plan_file import read_plan
    from hexplan.render import calibration_json, calibration_text, say, words

    plan = read_plan(source(plan_file))
    require_sound(plan_file, plan)
    if output is not None:
        check_target(output, None, may_overwrite=force)
    day = datetime.datetime.now(datetime.UTC).date().isoformat()
    found = compare(plan, read_observations(source(observed), plan), day)
    emit(calibration_json(found) if as_json else calibration_text(found))
    if output is not None and (found.groups or found.links):
        origin = f"calibrate of {words.printable(observed.name)}, {day}"
        write_corrections(found, origin, output)
        say(f"wrote {output}: `hexplan solve SPEC --overlay {output}` plans with it")
    elif output is not None:
        say(f"nothing could be fitted, so {output} is not written")
