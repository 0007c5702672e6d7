"""`--push-weights`: copy to each host the files of the model that its stages need."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hexplan.errors import LaunchError

if TYPE_CHECKING:
    from hexplan.plan import Plan
    from hexplan_runtime.launch.places import Hosts

PushWeights = Annotated[
    bool,
    typer.Option(
        "--push-weights",
        help="First copy to each host the files of the model that its stages need.",
    ),
]


def push_weights(
    plan: Plan, hosts: Hosts, model_folder: Path | None, tell: Callable[[str], None]
) -> None:
    """Copy what is missing, and tell how it went on each host, a line at a time.

    Raises
    ------
    LaunchError
        A host did not get all that it needs.
    """
    from hexplan.render import words
    from hexplan_runtime.launch.push_weights import WeightsPusher

    failed = []
    for one in WeightsPusher(plan, hosts, model_folder).push():
        name = f"host {one.host} at {one.address}"
        if one.problem is not None:
            failed.append(one.host)
            tell(f"{name}: {one.problem}")
            if one.hint is not None:
                tell(f"  {one.hint}")
            continue
        files = words.count(len(one.weight_files), "file")
        copied = f"copied {words.size(one.copied_bytes)}"
        tell(f"{name}: needs {files} of weights: {copied}, had {words.size(one.present_bytes)}")
    if failed:
        message = f"could not copy the model to {', '.join(failed)}"
        raise LaunchError(message, hint="a second call goes on where this one ended")
