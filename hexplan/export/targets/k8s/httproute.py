"""An HTTPRoute of the Gateway API, with the weights of the replicas."""

from __future__ import annotations

import re

from hexplan.errors import CannotExpress, InputError
from hexplan.export.deployment import Deployment
from hexplan.export.folder import File
from hexplan.export.readme import code, readme, table
from hexplan.export.targets.k8s.groups import groups_of
from hexplan.files.yaml_writer import yaml_text

MOST_BACKENDS = 16
"""The most backends of one rule."""
NAME = "httproute.yaml"
_OBJECT_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def httproute(deployment: Deployment) -> tuple[File, ...]:
    """Return an HTTPRoute to the Services that `k8s` writes for the same plan, and a README.

    Raises
    ------
    CannotExpress
        The replicas have more Services than a rule may have.
    """
    gateway = deployment.options.gateway
    if not _OBJECT_NAME.fullmatch(gateway):
        message = f"--gateway: found {gateway!r}, needed the name of a Kubernetes object"
        raise InputError(message)
    groups = groups_of(deployment)
    if len(groups) > MOST_BACKENDS:
        message = f"the replicas are {len(groups)} groups, and a rule of an HTTPRoute has at most"
        hint = "use nginx or envoy, or exclude hosts that carry little"
        message += f" {MOST_BACKENDS} backends"
        raise CannotExpress(message, hint=hint)
    backends = [
        {"name": group.name, "port": group.first.api_port, "weight": group.weight}
        for group in groups
    ]
    rule = {
        "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
        "backendRefs": backends,
    }
    manifest = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "hexplan"},
        "spec": {"parentRefs": [{"name": gateway}], "rules": [rule]},
    }
    total = sum(group.weight for group in groups)
    rows = []
    for group in groups:
        planned = float(sum(server.share for server in group.servers))
        weight = group.weight
        rows.append((group.name, str(weight), f"{weight / total:.3%}", f"{planned:.3%}"))
    sections = [
        table(("service", "weight", "share", "planned"), rows),
        "## Start it",
        f"The Services are those that `hexplan export k8s` writes for this plan, with the same"
        f" `--engine` and `--port`. The route belongs to the Gateway `{gateway}`.",
        code(f"$ kubectl apply -f {NAME}"),
        "## See that it is up",
        code("$ kubectl get httproute hexplan -o jsonpath='{.status.parents[*].conditions}'"),
    ]
    title = f"{deployment.plan.model.name} behind a Gateway"
    return File(NAME, yaml_text(manifest)), readme(deployment, title, sections)
