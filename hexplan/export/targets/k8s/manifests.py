"""Manifests: for each group of replicas, what runs it, and a Service in front."""

from __future__ import annotations

from hexplan.export.deployment import Deployment, Member
from hexplan.export.folder import File
from hexplan.export.readme import code, readme, table
from hexplan.export.targets.k8s.groups import Form, Group, groups_of
from hexplan.export.targets.k8s.pods import labels, member_name, pod
from hexplan.files.yaml_writer import yaml_text

Manifest = dict[str, object]
_NEEDS = {
    Form.DEPLOYMENT: "no operator",
    Form.DEPLOYMENTS: "no operator",
    Form.LEADER_WORKER_SET: "the LeaderWorkerSet operator",
    Form.DISAGGREGATED_SET: "the LeaderWorkerSet operator, 0.9 or newer",
}


def k8s(deployment: Deployment) -> tuple[File, ...]:
    """Return a file of manifests for each group of replicas, and a README.

    Raises
    ------
    CannotExpress
        A cluster cannot express a member.
    """
    groups = groups_of(deployment)
    files = [File(f"{group.name}.yaml", _text(deployment, group)) for group in groups]
    rows = [
        (
            f"{group.name}.yaml",
            ", ".join(server.name for server in group.servers),
            group.form,
            _NEEDS[group.form],
        )
        for group in groups
    ]
    services = [f"$ kubectl get endpoints {group.name}" for group in groups]
    sections = [
        "## Start it",
        "Nodes are those that the plan names as hosts, by `kubernetes.io/hostname`. Each needs the"
        " model at the same path, unless the engine downloads it, and the vendor's device plugin.",
        table(("file", "replicas", "kind", "needs"), rows),
        code(*(f"$ kubectl apply -f {group.name}.yaml" for group in groups)),
        "The pods of a group may take each other's nodes, as far as the plan tells them apart by"
        " nothing but their names. A cluster chooses which devices of a node a pod gets.",
        "## See that it is up",
        code("$ kubectl get pods -l app.kubernetes.io/name=hexplan", *services),
        "## Share out requests",
        "Each group has a Service of its name. `hexplan export httproute` writes their weights.",
    ]
    title = f"{deployment.plan.model.name} on {deployment.engine.title}, in Kubernetes"
    return (*files, readme(deployment, title, sections))


def _text(deployment: Deployment, group: Group) -> str:
    writers = {
        Form.DEPLOYMENT: _deployments,
        Form.DEPLOYMENTS: _deployments,
        Form.LEADER_WORKER_SET: _leader_worker_set,
        Form.DISAGGREGATED_SET: _disaggregated_set,
    }
    found = [*writers[group.form](deployment, group), *_services(group)]
    return "---\n".join(yaml_text(manifest) for manifest in found)


def _deployments(deployment: Deployment, group: Group) -> list[Manifest]:
    found: list[Manifest] = []
    for index, member in enumerate(group.first.members):
        name = group.name if group.form is Form.DEPLOYMENT else member_name(group, member)
        spec = {
            "replicas": len(group.servers),
            "selector": {"matchLabels": labels(group, member)},
            "strategy": {"type": "Recreate"},  # two pods at once would need the devices twice
            "template": pod(deployment, group, index),
        }
        found.append(_manifest("apps/v1", "Deployment", name, spec))
    return found


def _leader_worker_set(deployment: Deployment, group: Group) -> list[Manifest]:
    template = {
        "size": len(group.first.members),
        "restartPolicy": "RecreateGroupOnPodRestart",
        "leaderTemplate": pod(deployment, group, 0),
        "workerTemplate": pod(deployment, group, 1),
    }
    spec = {
        "replicas": len(group.servers),
        "startupPolicy": "LeaderCreated",
        "leaderWorkerTemplate": template,
    }
    version = "leaderworkerset.x-k8s.io/v1"
    return [_manifest(version, "LeaderWorkerSet", group.name, spec)]


def _disaggregated_set(deployment: Deployment, group: Group) -> list[Manifest]:
    roles = [
        {
            "name": member.name,
            "spec": {
                "replicas": 1,
                "leaderWorkerTemplate": {
                    "size": 1,
                    "workerTemplate": pod(deployment, group, index),
                },
            },
        }
        for index, member in enumerate(group.first.members)
    ]
    version = "disaggregatedset.x-k8s.io/v1"
    return [_manifest(version, "DisaggregatedSet", group.name, {"roles": roles})]


def _services(group: Group) -> list[Manifest]:
    front = group.first.front
    spec: Manifest = {
        "selector": labels(group, front),
        "ports": [{"name": "http", "port": group.first.api_port, "targetPort": "http"}],
    }
    found = [_manifest("v1", "Service", group.name, spec)]
    if group.form in (Form.DISAGGREGATED_SET, Form.DEPLOYMENTS):
        found += [
            _own_service(group, member)
            for member in group.first.members
            if _is_sought(group, member)
        ]
    return found


def _is_sought(group: Group, member: Member) -> bool:
    """Say whether other members look for this one by name: the first, or an RPC server."""
    return member is group.first.members[0] or (member.port is not None and not member.serves)


def _own_service(group: Group, member: Member) -> Manifest:
    """Return what gives a member a name from its start, long before it answers requests."""
    spec: Manifest = {
        "clusterIP": "None",
        "publishNotReadyAddresses": True,
        "selector": labels(group, member),
    }
    return _manifest("v1", "Service", member_name(group, member), spec)


def _manifest(version: str, kind: str, name: str, spec: Manifest) -> Manifest:
    metadata = {"name": name, "labels": {"app.kubernetes.io/name": "hexplan"}}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}
