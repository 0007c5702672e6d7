"""A bootstrap file for Envoy that shares out requests among the replicas."""

from __future__ import annotations

from hexplan.export.deployment import Deployment
from hexplan.export.folder import File
from hexplan.export.names import authority
from hexplan.export.readme import code, readme
from hexplan.export.targets.fronts import Front, fronts, weights_table
from hexplan.files.yaml_writer import yaml_text

NAME = "envoy.yaml"
_TYPES = "type.googleapis.com/envoy.extensions"
_MANAGER = f"{_TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager"
_ROUTER = f"{_TYPES}.filters.http.router.v3.Router"


def envoy(deployment: Deployment) -> tuple[File, ...]:
    """Return a static configuration with a weighted cluster for each replica, and a README."""
    listen = deployment.options.listen
    found = fronts(deployment)
    address = {"socket_address": {"address": listen.address, "port_value": listen.port}}
    listener = {
        "name": "hexplan",
        "address": address,
        "filter_chains": [{"filters": [_manager(found)]}],
    }
    resources = {"listeners": [listener], "clusters": [_cluster(front) for front in found]}
    sections = [
        weights_table(deployment),
        "Envoy draws a replica at random for each request, so the shares hold over many.",
        "## Start it",
        code(f"$ envoy --mode validate -c {NAME}", f"$ envoy -c {NAME}"),
        "## See that it is up",
        code(f"$ curl --fail http://{authority(listen.address, listen.port)}/v1/models"),
    ]
    title = f"{deployment.plan.model.name} behind Envoy"
    text = yaml_text({"static_resources": resources})
    return File(NAME, text), readme(deployment, title, sections)


def _manager(found: tuple[Front, ...]) -> dict[str, object]:
    clusters = [{"name": front.name, "weight": front.weight} for front in found]
    route = {
        "match": {"prefix": "/"},
        "route": {"weighted_clusters": {"clusters": clusters}, "timeout": "0s"},
    }
    host = {"name": "hexplan", "domains": ["*"], "routes": [route]}
    router = {"name": "envoy.filters.http.router", "typed_config": {"@type": _ROUTER}}
    config = {
        "@type": _MANAGER,
        "stat_prefix": "hexplan",
        "route_config": {"name": "hexplan", "virtual_hosts": [host]},
        "http_filters": [router],
        "stream_idle_timeout": "600s",
    }
    return {"name": "envoy.filters.network.http_connection_manager", "typed_config": config}


def _cluster(front: Front) -> dict[str, object]:
    place = {"socket_address": {"address": front.address, "port_value": front.port}}
    ends = [{"lb_endpoints": [{"endpoint": {"address": place}}]}]
    return {
        "name": front.name,
        "type": "STRICT_DNS",
        "connect_timeout": "5s",
        "load_assignment": {"cluster_name": front.name, "endpoints": ends},
    }
