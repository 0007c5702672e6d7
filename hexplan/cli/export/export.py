"""The `export` command."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hexplan.cli.inputs import PlanFile, source
from hexplan.cli.output import require_sound
from hexplan.errors import CannotExpress, InputError
from hexplan.wording import TOGETHER_HINT

if TYPE_CHECKING:
    from hexplan.cluster import EngineName
    from hexplan.export import Export, Listen
    from hexplan.plan import Plan

DEFAULT_LISTEN = "127.0.0.1:8080"
_LISTEN = re.compile(r"(\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<four>[0-9.]+)):(?P<port>[0-9]{1,5})")


class To(StrEnum):
    """The targets of an export."""

    VLLM = "vllm"
    SGLANG = "sglang"
    LLAMACPP = "llamacpp"
    COMPOSE = "compose"
    K8S = "k8s"
    SLURM = "slurm"
    NGINX = "nginx"
    ENVOY = "envoy"
    HTTPROUTE = "httproute"


class By(StrEnum):
    """What serves an exported replica."""

    VLLM = "vllm"
    SGLANG = "sglang"
    LLAMACPP = "llamacpp"
    HEXPLAN = "hexplan"


HELP = """Write files that run a plan on other engines, or share out its requests.

\b
vllm, sglang, llamacpp   a script for each process
compose, k8s, slurm      the same in containers, in a cluster, in a queue
nginx, envoy, httproute  what shares out requests among the replicas

The folder has a README that says what runs where, in which order, and how to see that it is
up. Exits with 4 if the target cannot express the plan, and says what would make it so.
"""


def export(
    target: Annotated[To, typer.Argument(help="What to write files for.")],
    plan_file: PlanFile,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FOLDER", help="Write the files here.")
    ],
    engine: Annotated[
        By | None,
        typer.Option(
            help="What serves, for targets that are no engine; by default the plan's"
            " `limits.engine`, or vllm."
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="The model as the hosts have it: a folder, a .gguf file, or a name."),
    ] = None,
    disjoint: Annotated[
        bool,
        typer.Option("--disjoint", help="Take the best whole replicas of a plan that shares."),
    ] = False,
    first_port: Annotated[
        int,
        typer.Option(
            "--port", min=1024, max=65535, help="Of the first replica; those after it follow."
        ),
    ] = 8000,
    image: Annotated[
        str | None, typer.Option(help="The container image, for compose and k8s.")
    ] = None,
    listen: Annotated[
        str, typer.Option(metavar="IP:PORT", help="Where nginx or envoy listens.")
    ] = DEFAULT_LISTEN,
    gateway: Annotated[
        str, typer.Option(help="The Gateway that the HTTPRoute belongs to.")
    ] = "hexplan",
    force: Annotated[bool, typer.Option("--force", help="Overwrite files in the folder.")] = False,
) -> None:
    """Write files that run a plan on other engines, or share out its requests."""
    from hexplan.export import ExportOptions, export_plan, write_files
    from hexplan.plan_file import read_plan

    plan = read_plan(source(plan_file))
    require_sound(plan_file, plan)
    if plan.is_split:
        message = f"{target}: found a plan with stages that only prefill or only decode"
        raise CannotExpress(message, hint=TOGETHER_HINT)
    options = ExportOptions(
        engine=_engine(target, engine, plan),
        model=model,
        first_port=first_port,
        image=image,
        listen=_listen(listen),
        gateway=gateway,
        disjoint=disjoint,
    )
    made = export_plan(plan, target.value, options)
    write_files(output, made.files, force=force)
    _say(output, made)


def _engine(target: To, engine: By | None, plan: Plan) -> EngineName:
    own: dict[To, Literal["vllm", "sglang", "llamacpp"]] = {
        To.VLLM: "vllm",
        To.SGLANG: "sglang",
        To.LLAMACPP: "llamacpp",
    }
    if target in own:
        if engine is not None and engine != target.value:
            message = f"--engine: found {engine} for the target {target}, which is an engine itself"
            raise InputError(message, hint="leave it out")
        return own[target]
    if engine is None:
        planned = plan.cluster.limits.engine
        return "vllm" if planned == "hexplan" else planned
    if engine is By.HEXPLAN and target is not To.SLURM:
        message = f"--engine: found hexplan for the target {target}, needed another engine"
        raise InputError(message, hint="`hexplan serve` runs the plan; slurm alone takes hexplan")
    return engine.value


def _listen(text: str) -> Listen:
    from ipaddress import ip_address

    from hexplan.export import Listen

    found = _LISTEN.fullmatch(text)
    try:
        assert found is not None
        address = ip_address(found["six"] or found["four"])
        assert 0 < int(found["port"]) < 2**16
    except (AssertionError, ValueError) as error:
        message = f"--listen: found {text!r}, needed an IP address and a port, such as"
        message += f" {DEFAULT_LISTEN}"
        raise InputError(message) from error
    if address.is_unspecified:
        message = f"--listen: found {text}, which is all addresses of the machine, needed one"
        raise InputError(message)
    return Listen(str(address), int(found["port"]))


def _say(output: Path, made: Export) -> None:
    from hexplan.render import say, words

    whole = made.whole
    if whole is not None and whole.is_decomposed:
        say(
            f"the replicas share no stage, and pass {whole.tokens_per_s:,.1f} tokens/s,"
            f" {whole.loss:.1%} less than the plan's {whole.planned_tokens_per_s:,.1f}"
        )
    if made.note is not None:
        say(f"warning: {made.note}")
    say(f"wrote {words.count(len(made.files), 'file')} into {output}; begin with its README.md")
