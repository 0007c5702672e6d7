"""The `profile` command: measure a model's speeds on this machine."""

from __future__ import annotations

from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hexplan.cli.exit_codes import INTERRUPTED
from hexplan.cli.interrupts import stop_on_interrupt
from hexplan.cli.output import emit, require_output
from hexplan.errors import InputError

if TYPE_CHECKING:
    from hexplan.model import Model

REPEATS, QUICK_REPEATS = 25, 3
PROMPT_TOKENS, OUTPUT_TOKENS = 750, 240
"""Defaults of the options."""


class Kind(StrEnum):
    """What to measure on."""

    CPU = "cpu"
    CUDA = "cuda"


class RunType(StrEnum):
    """Types of weights, activations and KV cache; those of `hexplan.model.Dtype`."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"


def profile(
    model_folder: Annotated[
        Path, typer.Option("--model", help="A folder with a Hugging Face model and its weights.")
    ],
    device: Annotated[str, typer.Option(help="The name of this device type in cluster.yaml.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Write the profile here.")],
    on: Annotated[
        Kind | None, typer.Option(help="cpu or cuda; by default an accelerator if there is one.")
    ] = None,
    tp: Annotated[
        list[int] | None,
        typer.Option(min=2, help="Also measure a group of this many devices; repeatable."),
    ] = None,
    together: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Devices that this machine has working at once; by default the largest group.",
        ),
    ] = None,
    dtype: Annotated[
        RunType | None, typer.Option(help="Run in this type; by default the model's own.")
    ] = None,
    prompt_tokens: Annotated[
        int | None,
        typer.Option(min=1, help="Mean tokens of a prompt; by default 750, or what fits."),
    ] = None,
    output_tokens: Annotated[
        int | None,
        typer.Option(min=1, help="Mean tokens of an answer; by default 240, or what fits."),
    ] = None,
    memory: Annotated[
        str | None,
        typer.Option(help="Memory of one device, such as 12GiB; by default the catalog's."),
    ] = None,
    repeats: Annotated[
        int | None,
        typer.Option(min=2, help="Time each point at most this often; by default 25 times."),
    ] = None,
    quick: Annotated[
        bool,
        typer.Option("--quick", help="Time few points, 3 times each: a trial, not a measurement."),
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Keep the points that an interrupted run measured.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite what is there.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print nothing but errors.")] = False,
) -> None:
    """Measure how long one layer takes on this machine, and write a profile.

    Runs the layers, KV cache and collectives that `launch` uses, for prompts and for decodes.
    Ctrl-C keeps the points measured so far, and --resume continues from there.
    """
    _require_runtime()
    from hexplan.reading.model_folder.folder import read_model_folder
    from hexplan.render import measure_progress, samples_text, say, warn_of_spread
    from hexplan_runtime.measure import Lengths, ProfileFiles, ProfileJob, choose_kind, measure

    require_output(output)
    model = read_model_folder(model_folder, dtype.value if dtype else None)
    job = ProfileJob(
        model=model,
        folder=model_folder,
        device=_device_name(device),
        kind=choose_kind(on.value if on else None),
        degrees=tuple(sorted({1, *(tp or ())})),
        together=together or max(tp or (1,)),
        lengths=Lengths(*_lengths(model, prompt_tokens, output_tokens)),
        memory_bytes=_memory_bytes(memory, device),
        repeats=repeats or (QUICK_REPEATS if quick else REPEATS),
        is_quick=quick,
    )
    files = ProfileFiles(output, may_resume=resume, may_overwrite=force)
    with stop_on_interrupt() as stop, measure_progress(quiet=quiet) as hear:
        outcome = measure(job, files, hear, stop)
    if not outcome.is_complete:
        if outcome.samples:
            done = f"{len(outcome.samples)} of {outcome.num_points} points"
            say(f"stopped: {done} are kept in {files.unfinished}; `--resume` continues from there")
        raise typer.Exit(INTERRUPTED)
    if not quiet:
        emit(samples_text(outcome.samples))
        _warn_of_few_cores(max(*job.degrees, job.together), is_cpu=job.kind == "cpu")
        warn_of_spread(outcome.samples)
        say(f"wrote {output}: name it with `profiles:` in a cluster.yaml")


def _require_runtime() -> None:
    """Refuse to measure without the runtime's packages."""
    for name in ("torch", "transformers", "safetensors"):
        if find_spec(name) is None:
            message = f"`{name}` is not installed, and measuring needs it"
            raise InputError(message, hint='`pip install "hexplan[runtime]"`')


def _device_name(text: str) -> str:
    """Return a name that a cluster.yaml accepts for a device type."""
    from hexplan.reading.names import check_device_name

    try:
        return check_device_name(text)
    except ValueError as error:
        message = f"--device: {error}"
        raise InputError(message) from error


def _lengths(model: Model, prompt: int | None, output: int | None) -> tuple[int, int]:
    """Return mean prompt and output tokens, which together fit into the model's context."""
    chosen_output = output or min(OUTPUT_TOKENS, max(1, model.max_context // 4))
    room = model.max_context - chosen_output
    chosen_prompt = prompt or max(1, min(PROMPT_TOKENS, room // 2))
    if chosen_prompt > room:
        message = (
            f"--prompt-tokens, --output-tokens: found {chosen_prompt} + {chosen_output},"
            f" needed at most {model.max_context} together, the context of {model.name}"
        )
        raise InputError(message)
    return chosen_prompt, chosen_output


def _memory_bytes(text: str | None, device: str) -> int | None:
    """Return the memory of a device: the given one, else the catalog's, if it is listed."""
    from hexplan.catalog.shipped import find_device
    from hexplan.units import QuantityError, parse_bytes

    if text is None:
        listed = find_device(device)
        return listed.memory_bytes if listed else None
    try:
        return parse_bytes(text)
    except QuantityError as error:
        message = f"--memory: {error.message}"
        raise InputError(message, hint=error.hint) from error


def _warn_of_few_cores(together: int, *, is_cpu: bool) -> None:
    from hexplan.render import say, words
    from hexplan_runtime.measure import free_cores

    if is_cpu and together > free_cores():
        cores = words.count(free_cores(), "core")
        say(f"warning: {together} devices at once share {cores}, so their times are off")
