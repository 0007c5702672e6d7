"""What an export writes for each target."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from hexplan.export.deployment import Deployment
from hexplan.export.folder import File
from hexplan.export.options import Target
from hexplan.export.targets.compose import compose
from hexplan.export.targets.envoy import envoy
from hexplan.export.targets.k8s import httproute, k8s
from hexplan.export.targets.nginx import nginx
from hexplan.export.targets.scripts import scripts
from hexplan.export.targets.slurm import slurm

Writer = Callable[[Deployment], tuple[File, ...]]

WRITERS: Mapping[Target, Writer] = MappingProxyType(
    {
        "vllm": scripts,
        "sglang": scripts,
        "llamacpp": scripts,
        "compose": compose,
        "k8s": k8s,
        "httproute": httproute,
        "slurm": slurm,
        "nginx": nginx,
        "envoy": envoy,
    }
)
"""By the name that the command takes."""
