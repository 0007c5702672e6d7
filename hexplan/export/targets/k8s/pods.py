"""Pods: one for each member of a replica, on the machines that the plan names."""

from __future__ import annotations

from hexplan.errors import CannotExpress
from hexplan.export.command import Command, FromVariable, Place, Word
from hexplan.export.deployment import Deployment, Member
from hexplan.export.engines import WORDINGS
from hexplan.export.names import node_name
from hexplan.export.targets.containers import image, model_folder, numbered_anew, require_vendor
from hexplan.export.targets.k8s.groups import Form, Group

RESOURCES = {"cuda": "nvidia.com/gpu", "rocm": "amd.com/gpu"}
OWN_IP = FromVariable("POD_IP")
_FROM_STATUS = {"fieldRef": {"fieldPath": "status.podIP"}}
_SHARED_MEMORY = "16Gi"
_STARTUP_TRIES = 360  # of 10 s each: an hour, for weights over a slow disk


def labels(group: Group, member: Member) -> dict[str, str]:
    """Return the labels of a member's pods."""
    return {
        "app.kubernetes.io/name": "hexplan",
        "app.kubernetes.io/instance": group.name,
        "app.kubernetes.io/component": member.name,
    }


def member_name(group: Group, member: Member) -> str:
    """Return the name of a member's own objects."""
    return f"{group.name}-{member.name}"


def pod(deployment: Deployment, group: Group, index: int) -> dict[str, object]:
    """Return the template of a member's pods.

    Raises
    ------
    CannotExpress
        A cluster cannot give a pod these devices, or a name or the model's path is not fit.
    """
    server, member = group.first, group.first.members[index]
    require_vendor(deployment, server, (*RESOURCES, "cpu"))
    command = WORDINGS[deployment.engine.name].command(deployment, server, places(group), index)
    volumes: list[object] = [
        {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": _SHARED_MEMORY}}
    ]
    if folder := model_folder(deployment):
        volumes.append({"name": "model", "hostPath": {"path": folder}})
    spec = {
        "affinity": _affinity(group.hosts(index)),
        "containers": [_container(deployment, group, member, command)],
        "volumes": volumes,
    }
    return {"metadata": {"labels": labels(group, member)}, "spec": spec}


def places(group: Group) -> tuple[Place, ...]:
    """Return where members are, as commands in pods have to say it."""
    found = []
    for index, member in enumerate(group.first.members):
        rank: Word = str(index)
        reach: Word = member_name(group, member)
        if group.form is Form.DEPLOYMENT:
            reach = OWN_IP
        elif group.form is Form.LEADER_WORKER_SET:
            reach = FromVariable("LWS_LEADER_ADDRESS")
            rank = FromVariable("LWS_WORKER_INDEX") if index else rank
        found.append(numbered_anew(member, Place(OWN_IP, reach, member.devices, rank)))
    return tuple(found)


def _container(
    deployment: Deployment, group: Group, member: Member, command: Command
) -> dict[str, object]:
    environment: list[object] = [{"name": OWN_IP.name, "valueFrom": _FROM_STATUS}]
    environment += [
        {"name": one.name, "value": _expanding(one.value)} for one in command.environment
    ]
    mounts: list[object] = [{"name": "shm", "mountPath": "/dev/shm"}]  # noqa: S108
    if folder := model_folder(deployment):
        mounts.append({"name": "model", "mountPath": folder, "readOnly": True})
    container: dict[str, object] = {
        "name": "engine",
        "image": image(deployment),
        "command": [_expanding(word) for word in command.words],
        "env": environment,
        "volumeMounts": mounts,
    }
    if limits := _limits(member, group):
        container["resources"] = {"limits": limits}
    if member.port is not None:
        container["ports"] = [
            {"name": "http" if member.serves else "rpc", "containerPort": member.port}
        ]
    if member.serves:
        path = WORDINGS[deployment.engine.name].ready
        get = {"path": path, "port": "http"}
        container["startupProbe"] = {
            "httpGet": get,
            "periodSeconds": 10,
            "failureThreshold": _STARTUP_TRIES,
        }
        container["readinessProbe"] = {"httpGet": get, "periodSeconds": 10}
    return container


def _limits(member: Member, group: Group) -> dict[str, object]:
    kind = next((rank.kind for rank in group.first.replica.ranks), "cpu")
    if kind == "cpu" or not member.devices:
        return {}
    types = sorted(set(member.machine.devices))
    if len(types) > 1 and len(member.devices) < len(member.machine.devices):
        message = f"host {member.host} has {' and '.join(types)}, and a pod cannot ask for some of"
        hint = "let the replica have all devices of the host, or write scripts instead"
        message += " them by their type"
        raise CannotExpress(message, hint=hint)
    return {RESOURCES[kind]: len(member.devices)}


def _affinity(hosts: tuple[str, ...]) -> dict[str, object]:
    names = [node_name(host) for host in hosts]
    term = {
        "matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": names}]
    }
    required = {"nodeSelectorTerms": [term]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}


def _expanding(word: Word) -> str:
    """Return a word in which Kubernetes expands the variables that are meant, and nothing else."""
    if isinstance(word, FromVariable):
        return f"$({word.name}){word.suffix}"
    return word.replace("$", "$$")
