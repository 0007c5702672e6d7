"""Kubernetes: manifests of what serves, and the HTTPRoute in front of it."""

from hexplan.export.targets.k8s.httproute import httproute
from hexplan.export.targets.k8s.manifests import k8s

__all__ = ["httproute", "k8s"]
