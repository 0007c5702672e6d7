"""The `launch` command."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from hexplan.cli.across.options import (
    BehindNat,
    DryRun,
    FirstPort,
    HostOptions,
    HostsFolder,
    OnThisMachine,
    PublicHosts,
    Python,
    Ssh,
    emit_dry_run,
)
from hexplan.cli.across.weights import PushWeights, push_weights
from hexplan.cli.inputs import PlanFile, read_prompts, source
from hexplan.cli.output import emit_generated, require_sound
from hexplan.cli.starting import (
    RUNTIME,
    ask_to_start,
    compiler_folder,
    count_hosts,
    require_packages,
)


def launch(
    plan_file: PlanFile,
    prompt: Annotated[
        list[str] | None, typer.Option(help="A text to continue; repeatable.")
    ] = None,
    prompts_file: Annotated[
        Path | None, typer.Option(help="A file with one prompt a line; - is stdin.")
    ] = None,
    max_tokens: Annotated[int, typer.Option(min=1, help="Tokens to add to each prompt.")] = 64,
    temperature: Annotated[
        float, typer.Option(help="0 always takes the most likely token; higher values vary more.")
    ] = 0.0,
    top_p: Annotated[
        float, typer.Option(help="Draw from the most likely tokens of this total probability.")
    ] = 1.0,
    top_k: Annotated[
        int, typer.Option(help="Draw from this many most likely tokens; 0 means all.")
    ] = 0,
    seed: Annotated[int, typer.Option(help="Seed of the first prompt's draws.")] = 0,
    chat: Annotated[
        bool, typer.Option("--chat", help="Take each prompt as a user's words in a chat.")
    ] = False,
    model_folder: Annotated[
        Path | None, typer.Option(help="The folder with the weights, if not the plan's.")
    ] = None,
    observe: Annotated[
        Path | None,
        typer.Option(help="Write the times of steps and messages here, for `calibrate`."),
    ] = None,
    here: OnThisMachine = False,
    ssh: Ssh = None,
    python: Python = "python3",
    first_port: FirstPort = None,
    hosts_model_folder: HostsFolder = None,
    allow_public_hosts: PublicHosts = False,
    behind_nat: BehindNat = None,
    dry_run: DryRun = False,
    push: PushWeights = False,
    yes: Annotated[bool, typer.Option("-y", "--yes", help="Start without asking.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object a line, for each prompt.")
    ] = False,
) -> None:
    """Run a plan on this machine or its hosts, and stream the continuations of prompts to stdout.

    Starts one process for each device; over ssh, where the plan's hosts have an `address`. Runs
    models of the families llama, mistral, qwen2 and qwen3, and with one device a stage also cohere,
    cohere2, gemma, gemma2, gemma3_text, gpt_neox, granite, mixtral, olmo, olmo2, olmo3, phi3,
    qwen3_moe, smollm3 and starcoder2; their weights must not be quantised. Ctrl-C ends all
    processes.
    """
    require_packages(RUNTIME)
    from hexplan.measured.observation_file import ObservationFile
    from hexplan.plan_file import read_plan
    from hexplan.render import InOrder, JsonLines, LaunchView, say
    from hexplan_runtime.launch.supported import require_supported
    from hexplan_runtime.launching import Launch, continue_prompts
    from hexplan_runtime.text import GenerationSettings

    plan = read_plan(source(plan_file))
    require_sound(plan_file, plan)
    require_supported(plan)
    options = HostOptions(
        here, ssh, python, first_port, hosts_model_folder, allow_public_hosts, behind_nat
    )
    hosts = options.hosts(plan)
    if dry_run:
        emit_dry_run(plan, hosts, model_folder)
        return
    prompts = read_prompts(prompt or [], prompts_file)
    settings = GenerationSettings(
        max_tokens, temperature, top_p, top_k, seed, model_folder, is_chat=chat
    )
    ask_to_start(plan, yes=yes, num_hosts=count_hosts(plan, hosts))
    if push and hosts is not None:
        push_weights(plan, hosts, model_folder, say)
    writer = (JsonLines if as_json else InOrder)(prompts, emit_generated)
    view = LaunchView(plan, writer)
    observed = ObservationFile(observe, plan) if observe is not None else nullcontext()
    with compiler_folder(), observed as observations:
        continue_prompts(plan, prompts, settings, view, Launch(observations, hosts))
    if observe is not None:
        say(f"observed in {observe}: `hexplan calibrate {plan_file} {observe}` compares")
