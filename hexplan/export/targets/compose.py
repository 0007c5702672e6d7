"""A Compose file for each host: what it runs of all replicas, in containers."""

from __future__ import annotations

from hexplan.export.command import Place, Word
from hexplan.export.deployment import Deployment, Member, Server
from hexplan.export.engines import WORDINGS
from hexplan.export.folder import File
from hexplan.export.names import authority
from hexplan.export.places import planned_places
from hexplan.export.readme import code, readme, table
from hexplan.export.targets.containers import (
    SHARED_MEMORY,
    image,
    model_folder,
    numbered_anew,
    require_vendor,
)
from hexplan.files.yaml_writer import yaml_text

_KINDS = ("cuda", "cpu")


def compose(deployment: Deployment) -> tuple[File, ...]:
    """Return a Compose file for each host, and a README.

    Raises
    ------
    CannotExpress
        The devices are not NVIDIA's, or a name or the model's path is not fit.
    """
    services: dict[str, dict[str, object]] = {host: {} for host in deployment.hosts}
    checks = []
    for server in deployment.servers:
        require_vendor(deployment, server, _KINDS)
        places = [
            numbered_anew(member, place)
            for member, place in zip(server.members, planned_places(server), strict=True)
        ]
        for index, member in enumerate(server.members):
            name = f"{server.name}-{member.name}"
            services[member.host][name] = _service(deployment, server, places, index)
        front = places[server.members.index(server.front)]
        path = WORDINGS[deployment.engine.name].ready
        checks.append(f"$ curl --fail http://{authority(str(front.own), server.api_port)}{path}")
    files = [
        File(file_name(host), yaml_text({"name": "hexplan", "services": found}))
        for host, found in services.items()
    ]
    rows = [(host, file_name(host), ", ".join(found)) for host, found in services.items()]
    sections = [
        "## Start it",
        "Copy each file to its host, which needs Docker with Compose and NVIDIA's container"
        " toolkit, and the model at the same path on all hosts:",
        code(*(f"$ docker compose -f {file_name(host)} up --detach" for host in services)),
        table(("host", "file", "services"), rows),
        "Containers use the host's network, as the members of a replica choose ports among"
        " themselves. They listen at the plan's addresses.",
        "## See that it is up",
        code(*checks),
    ]
    title = f"{deployment.plan.model.name} on {deployment.engine.title}, in containers"
    return (*files, readme(deployment, title, sections))


def file_name(host: str) -> str:
    """Return the name of a host's Compose file."""
    return f"compose.{host}.yaml"


def _service(
    deployment: Deployment, server: Server, places: list[Place], index: int
) -> dict[str, object]:
    member = server.members[index]
    command = WORDINGS[deployment.engine.name].command(deployment, server, places, index)
    service: dict[str, object] = {
        "image": _escaped(image(deployment)),
        "network_mode": "host",
        "ipc": "private",
        "shm_size": SHARED_MEMORY,
        "restart": "unless-stopped",
        "entrypoint": [_plain(word) for word in command.words],
    }
    if command.environment:
        found = {one.name: _plain(one.value) for one in command.environment}
        service["environment"] = found
    if folder := model_folder(deployment):
        path = _escaped(folder)
        mount = {"type": "bind", "source": path, "target": path, "read_only": True}
        service["volumes"] = [mount]
    if devices := _devices(server, member):
        service["deploy"] = {"resources": {"reservations": {"devices": [devices]}}}
    if member.serves and (waits := _before(server, member)):
        service["depends_on"] = waits
    return service


def _before(server: Server, front: Member) -> list[str]:
    """Return the services that llama.cpp's main member needs on its own host."""
    rpc = [member for member in server.members if member.port is not None and not member.serves]
    return [f"{server.name}-{member.name}" for member in rpc if member.host == front.host]


def _devices(server: Server, member: Member) -> dict[str, object] | None:
    if "cuda" not in server.kinds or not member.devices:
        return None
    ids = [str(device) for device in sorted(member.devices)]
    return {"driver": "nvidia", "device_ids": ids, "capabilities": ["gpu"]}


def _plain(word: Word) -> str:
    assert isinstance(word, str), "the plan's addresses are known"
    return _escaped(word)


def _escaped(text: str) -> str:
    """Return text that Compose does not expand."""
    return text.replace("$", "$$")
