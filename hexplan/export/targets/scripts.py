"""Scripts, one for each process: for machines that have the engine installed."""

from __future__ import annotations

from hexplan.export.command import Place, shell_script
from hexplan.export.deployment import Deployment, Member, Server
from hexplan.export.engines import WORDINGS
from hexplan.export.folder import File
from hexplan.export.names import authority
from hexplan.export.places import planned_places, waiting
from hexplan.export.readme import code, readme, table

_WAIT = (
    "Copy each script to its host, and run it there. The machines of a replica wait for each other."
)
_START = {
    "vllm": _WAIT,
    "sglang": _WAIT,
    "llamacpp": "Copy each script to its host, and run it there. The main member of a replica waits"
    " for its RPC servers.",
}
_SECRET = {
    "vllm": "vLLM asks clients for a key if VLLM_API_KEY is set where the first member runs. Set it"
    " there, and not on a command line.",
    "sglang": "SGLang takes `--api-key` on its command line alone, which other users of the host"
    " see: keep the port inside your network, and ask for keys at the proxy in front.",
    "llamacpp": "llama-server asks clients for a key with `--api-key-file FILE`. RPC servers ask"
    " nobody for anything: their ports must be reachable from the main host alone.",
}


def scripts(deployment: Deployment) -> tuple[File, ...]:
    """Return a script for each member of each replica, and a README.

    Raises
    ------
    CannotExpress
        The engine or a script cannot express a member.
    """
    files: list[File] = []
    rows: list[tuple[str, ...]] = []
    checks: list[str] = []
    for server in deployment.servers:
        places = planned_places(server)
        for index, (member, place) in enumerate(zip(server.members, places, strict=True)):
            name = script_name(server, member)
            files.append(File(name, _script(deployment, server, places, index), is_script=True))
            rows.append((str(len(rows) + 1), member.host, str(place.own), f"{name}"))
        checks.append(_check(deployment, server, places))
    title = f"{deployment.plan.model.name} on {deployment.engine.title}"
    sections = [
        "## Start it",
        _START[deployment.engine.name],
        table(("order", "host", "address", "script"), rows),
        f"The hosts need {deployment.engine.title} {deployment.engine.version}, and the model at"
        f" the same place: `{deployment.model}`.",
        _SECRET[deployment.engine.name],
        "## See that it is up",
        code(*checks),
        "## Share out requests",
        "In proportion to the shares above: `hexplan export nginx` (or `envoy`) writes the file.",
    ]
    return (*files, readme(deployment, title, sections))


def script_name(server: Server, member: Member) -> str:
    """Return the name of a member's script."""
    return f"{server.name}-{member.name}-{member.host}.sh"


def _script(deployment: Deployment, server: Server, places: tuple[Place, ...], index: int) -> str:
    member = server.members[index]
    command = WORDINGS[deployment.engine.name].command(deployment, server, places, index)
    stages = ", ".join(member.stages) or "none, it leads the others"
    head = [
        "#!/usr/bin/env bash",
        f"# Replica {server.name}, {member.name} on {member.host}; stages: {stages}.",
        "set -euo pipefail",
        "",
    ]
    before = waiting(server, places) if member.serves else ""
    return "\n".join(head) + before + shell_script(command)


def _check(deployment: Deployment, server: Server, places: tuple[Place, ...]) -> str:
    front = places[server.members.index(server.front)]
    path = WORDINGS[deployment.engine.name].ready
    return f"$ curl --fail http://{authority(str(front.own), server.api_port)}{path}"
