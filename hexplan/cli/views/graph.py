"""The `graph` command."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from hexplan.cli.inputs import PlanFile, source
from hexplan.cli.output import emit, require_output


class Format(StrEnum):
    """The forms of a graph."""

    SVG = "svg"
    MERMAID = "mermaid"
    DOT = "dot"


def graph(
    plan_file: PlanFile,
    output_format: Annotated[
        Format, typer.Option("--format", help="A drawing, or the text of one.")
    ] = Format.SVG,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write it here instead of to stdout.")
    ] = None,
) -> None:
    """Draw a plan: hosts by site, stages over their layers, edges as wide as their flow.

    What limits the flow is red.
    """
    from hexplan.files.bounded import write_atomically
    from hexplan.plan_file import read_plan
    from hexplan.render.graph import dot, mermaid, svg

    require_output(output)
    plan = read_plan(source(plan_file))
    drawn = {Format.SVG: svg, Format.MERMAID: mermaid, Format.DOT: dot}[output_format](plan)
    if output is None or output == Path("-"):
        emit(drawn)
    else:
        write_atomically(output, drawn)
