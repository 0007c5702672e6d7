"""The `serve` command."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from types import FrameType
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
from hexplan.cli.exit_codes import INTERRUPTED
from hexplan.cli.inputs import PlanFile, seconds, source
from hexplan.cli.output import emit, require_sound
from hexplan.cli.queues.options import QueueOption, StarveOption, queueing_of
from hexplan.cli.starting import (
    RUNTIME,
    ask_to_start,
    compiler_folder,
    count_hosts,
    require_packages,
)

PACKAGES = (*RUNTIME, "starlette", "uvicorn", "prometheus_client", "jinja2", "llguidance")
SOLVER = ("pulp", "highspy")
TEMPLATE_LIMIT_BYTES = 2**20


def serve(
    plan_file: PlanFile,
    host: Annotated[
        str,
        typer.Option(
            help="The address at which to listen. Any but the machine's own loopback needs"
            " --api-key-file or --insecure."
        ),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 is a free one.")] = 8000,
    api_key_file: Annotated[
        Path | None, typer.Option(help="A file with one API key a line that only you may read.")
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Answer everyone who reaches the address.")
    ] = False,
    allow_wildcard: Annotated[
        bool, typer.Option("--allow-wildcard", help="Let --host mean all addresses at once.")
    ] = False,
    allow_public: Annotated[
        bool, typer.Option("--allow-public", help="Let --host be one that the Internet reaches.")
    ] = False,
    model_folder: Annotated[
        Path | None, typer.Option(help="The folder with the weights, if not the plan's.")
    ] = None,
    served_name: Annotated[
        str | None, typer.Option(help="What clients call the model, if not as the plan does.")
    ] = None,
    chat_template: Annotated[
        Path | None, typer.Option(help="A file with a chat template, if not the model folder's.")
    ] = None,
    max_waiting: Annotated[
        int, typer.Option(min=1, help="Requests that may wait for room; more are refused.")
    ] = 256,
    max_connections: Annotated[
        int, typer.Option(min=1, help="Connections at once; requests on more are refused.")
    ] = 2048,
    max_unread: Annotated[
        int,
        typer.Option(
            min=1, help="Tokens that may wait for a client to read them; then it is cut off."
        ),
    ] = 4096,
    max_output_tokens: Annotated[
        int | None, typer.Option(min=1, help="The most new tokens that a request may ask for.")
    ] = None,
    max_body_mib: Annotated[
        int, typer.Option(min=1, max=1024, help="The largest body of a request, in MiB.")
    ] = 16,
    drain_timeout: Annotated[
        str, typer.Option(help="How long requests may take to end once the server is stopped.")
    ] = "30s",
    vllm_metrics: Annotated[
        bool, typer.Option("--vllm-metrics", help="Give /metrics vLLM's names as well.")
    ] = False,
    access_log: Annotated[
        bool, typer.Option(help="Print a line for each request on stderr, without its text.")
    ] = True,
    restarts: Annotated[
        int,
        typer.Option(
            min=0,
            help="Starts of a stage in a row that may fail before nobody tries more. With 0,"
            " whatever dies ends the server.",
        ),
    ] = 7,
    queue: QueueOption = None,
    starve: StarveOption = None,
    spares: Annotated[
        int,
        typer.Option(
            min=0, max=64, help="Ranks that wait on each machine, so that a stage starts sooner."
        ),
    ] = 0,
    step_timeout: Annotated[
        str, typer.Option(help="How long a step of a stage may take before the stage is lost.")
    ] = "5min",
    reweigh: Annotated[
        bool,
        typer.Option(help="Give routes that have become slow fewer requests, half at least."),
    ] = True,
    heal: Annotated[
        bool,
        typer.Option(
            "--heal",
            help="Plan anew for what is left when a stage stays lost, and apply that plan.",
        ),
    ] = False,
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
) -> None:
    """Run a plan on this machine or its hosts, behind an OpenAI-compatible HTTP endpoint.

    Prints the address on stdout once requests are answered. SIGTERM and Ctrl-C let requests that
    are under way end first; a second signal ends the server at once.
    """
    require_packages(PACKAGES)
    if heal:
        require_packages(SOLVER)
    from hexplan.files.bounded import read_bounded
    from hexplan.plan_file import read_plan
    from hexplan.render import open_serve_view, say
    from hexplan_runtime.launch.supported import require_supported
    from hexplan_runtime.model.model_files import find_model_folder
    from hexplan_runtime.serve.access import Door, open_door
    from hexplan_runtime.serve.http.listening import Place, bind
    from hexplan_runtime.serve.settings import Limits, ServeSettings

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
    access = open_door(
        Door(
            host, api_key_file, insecure, may_be_wildcard=allow_wildcard, may_be_public=allow_public
        )
    )
    settings = ServeSettings(
        model_name=served_name or plan.model.name,
        limits=Limits(
            body_bytes=max_body_mib * 2**20,
            output_tokens=max_output_tokens,
            waiting=max_waiting,
            connections=max_connections,
            unread_tokens=max_unread,
        ),
        access=access,
        chat_template=read_bounded(chat_template, TEMPLATE_LIMIT_BYTES) if chat_template else None,
        has_vllm_metrics=vllm_metrics,
        restarts=restarts,
        queue=queueing_of(plan, queue, starve),
        spares=spares,
        step_limit_s=seconds("--step-timeout", step_timeout) or 0.0,
        reweighs=reweigh,
        heals=heal,
    )
    place = Place(access.address, port, seconds("--drain-timeout", drain_timeout) or 0.0)
    bind(place).close()
    find_model_folder(plan, model_folder)
    ask_to_start(plan, yes=yes, num_hosts=count_hosts(plan, hosts))
    if push and hosts is not None:
        push_weights(plan, hosts, model_folder, say)
    with (
        compiler_folder(),
        open_serve_view(plan, emit, logs=access_log) as view,
        _until_asked_to_end(lambda: view.is_serving) as end,
    ):
        # This reads torch, which takes seconds: by now a mistake has been told.
        from hexplan_runtime.serve.server import Server

        Server(plan, model_folder, settings, place, view, hosts).run(end.event)
    if end.number == signal.SIGINT:
        raise typer.Exit(INTERRUPTED)


@dataclass(slots=True)
class _End:
    """Whether a signal has asked this process to end, and which."""

    event: Event
    number: int | None = None


@contextmanager
def _until_asked_to_end(is_serving: Callable[[], bool]) -> Iterator[_End]:
    """Yield what the first SIGTERM or SIGINT sets; the next one ends this process as usual.

    While the server starts the first one does so too: there is no request that has to end.
    """
    end = _End(Event())

    def ask(number: int, frame: FrameType | None) -> None:
        for each, handler in previous.items():
            signal.signal(each, handler)
        if not is_serving():
            signal.raise_signal(number)
        end.number = number
        end.event.set()

    previous = {each: signal.signal(each, ask) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield end
    finally:
        for each, handler in previous.items():
            signal.signal(each, handler)
