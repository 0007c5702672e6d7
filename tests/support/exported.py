"""Plans of chains to export, made by hand, and what exports of them are read back with."""

from __future__ import annotations

import gzip
import json
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from jsonschema import Draft7Validator
from support.plan_parts import (
    BIG,
    COORDINATOR,
    MODEL,
    SMALL,
    edge,
    host,
    link,
    route,
    shards,
    stage,
)
from support.plans import two_hosts_plan

from hexplan.cluster import Cluster
from hexplan.device import DeviceType
from hexplan.export import ExportOptions, export_plan
from hexplan.export.options import Target
from hexplan.host import Host
from hexplan.plan import Plan, Route, Stage

DATA = Path(__file__).parents[1] / "data" / "export"
WEIGHTS = {"vllm": "/models/tiny", "sglang": "/models/tiny", "llamacpp": "/models/tiny.gguf"}


@dataclass(frozen=True, slots=True)
class Link:
    """A stage of a chain: its host, its devices there and its layers."""

    host: str
    devices: tuple[int, ...]
    layers: tuple[int, int]


def addressed(
    name: str, kinds: Sequence[DeviceType], address: str | None, site: str = "lab"
) -> Host:
    """Return a host with an address."""
    return host(name, tuple(kinds), site).model_copy(update={"address": address})


def chains_plan(hosts: Sequence[Host], *chains: Sequence[Link], flows: Sequence[str] = ()) -> Plan:
    """Return a plan of chains, each with its own flow, or 100 tokens/s; its figures are made up."""
    types = {kind.name: kind for kind in (BIG, SMALL)}
    rates = tuple(flows) or ("100",) * len(chains)
    stages: list[Stage] = []
    routes: list[Route] = []
    edges = []
    total = sum(map(Decimal, rates))
    for chain, rate in zip(chains, rates, strict=True):
        names = [f"s{len(stages) + index}" for index in range(len(chain))]
        ends = ["entry", *names, "exit"]
        borders = [0, *(one.layers[1] for one in chain)]
        for source, target, border in zip(ends, ends[1:], borders, strict=False):
            edges.append(edge(source, target, border, "250000", rate, "1"))
        for name, one in zip(names, chain, strict=True):
            machine = next(found for found in hosts if found.name == one.host)
            each = shards(*[4 // len(one.devices)] * len(one.devices))
            parts = tuple(
                (shard.model_copy(update={"device": device}), types[machine.devices[device]])
                for shard, device in zip(each, one.devices, strict=True)
            )
            stages.append(stage(MODEL, name, (one.host, one.layers), parts, (900, "1000", rate)))
        hops = tuple((name, one.layers[0]) for name, one in zip(names, chain, strict=True))
        routes.append(route(hops, rate, str((Decimal(rate) / total).quantize(Decimal("1e-9")))))
    cluster = Cluster(
        name="by-hand",
        hosts=tuple(hosts),
        coordinator=COORDINATOR,
        links=(link("lab", "lab"),),
        device_types=(BIG, SMALL),
    )
    base = two_hosts_plan()
    proof = base.certificate.model_copy(update={"flow_tokens_per_s": total})
    return base.model_copy(
        update={
            "cluster": cluster,
            "stages": tuple(stages),
            "edges": tuple(edges),
            "routes": tuple(routes),
            "certificate": proof,
        }
    )


def pipeline_plan() -> Plan:
    """Return two replicas: one of two hosts with two devices each, and one on half a host."""
    hosts = (
        addressed("a", [BIG] * 2, "10.0.0.1"),
        addressed("b", [BIG] * 4, "10.0.0.2"),
    )
    long = (Link("a", (0, 1), (0, 4)), Link("b", (0, 1), (4, 6)))
    return chains_plan(hosts, long, (Link("b", (2, 3), (0, 6)),), flows=("300", "100"))


def three_shapes_plan() -> Plan:
    """Return one replica over three hosts that look alike to nobody."""
    hosts = (
        addressed("a", [BIG], "10.0.0.1"),
        addressed("b", [SMALL], "10.0.0.2"),
        addressed("c", [BIG, BIG], "10.0.0.3"),
    )
    links = (Link("a", (0,), (0, 2)), Link("b", (0,), (2, 3)), Link("c", (1,), (3, 6)))
    return chains_plan(hosts, links)


def exported(plan: Plan, target: Target, **options: Any) -> dict[str, str]:
    """Return the text of each file of an export, by its name."""
    engine = options.pop("engine", target if target in WEIGHTS else "vllm")
    found = ExportOptions(**({"engine": engine, "model": WEIGHTS.get(engine)} | options))
    return {file.name: file.text for file in export_plan(plan, target, found).files}


def scripts_of(files: dict[str, str]) -> dict[str, str]:
    """Return the scripts among files."""
    return {name: text for name, text in files.items() if name.endswith((".sh", ".sbatch"))}


def words_of(script: str) -> list[str]:
    """Return the words of the command that a script ends with, as a POSIX shell reads them."""
    last = script[script.rindex("\nexec ") + len("\nexec ") :]
    return shlex.split(last.replace("\\\n", ""))


def bash_words(script: str) -> list[str]:
    """Return the words of the command that a script ends with, as bash itself reads them."""
    shown = "exec() { printf '%s\\0' \"$@\"; }\n" + script
    found = subprocess.run(["bash"], input=shown, capture_output=True, text=True, check=True)
    return found.stdout.split("\0")[:-1]


def exports_of(script: str) -> dict[str, str]:
    """Return the variables that a script exports."""
    lines = [line for line in script.splitlines() if line.startswith("export ")]
    pairs = [shlex.split(line)[1].split("=", 1) for line in lines]
    return {name: value for name, value in pairs}


def bash_problem(text: str) -> str:
    """Return what bash finds wrong with the syntax of a script."""
    found = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, check=False)
    return found.stderr


def schema(name: str) -> Any:
    """Return a published schema."""
    return json.loads(gzip.decompress((DATA / f"{name}.json.gz").read_bytes()))


def closed(schema: Any) -> Any:
    """Return a structural schema of Kubernetes as JSON Schema that refuses unknown fields."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string") is True:
        return {"type": ["integer", "string"]}
    found = {name: closed(value) for name, value in schema.items() if name != "format"}
    if isinstance(schema.get("properties"), dict):
        found["properties"] = {key: closed(one) for key, one in schema["properties"].items()}
    is_open = schema.get("x-kubernetes-preserve-unknown-fields") is True
    if isinstance(schema.get("properties"), dict) and not is_open:
        found.setdefault("additionalProperties", False)
    return found


def require_schema(value: Any, schema: Any) -> None:
    """Raise a `ValidationError` if a value does not keep to a schema.

    The schemas are not themselves checked: those of pods take seconds each time.
    """
    Draft7Validator(schema).validate(value)
