"""A made-up pair of hosts of which one is made for prompts and the other for decodes."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from support.clusters import host, spec_of, tiny_model

from hexplan.device import DeviceType
from hexplan.spec import Spec
from hexplan.workload import Lengths, Slo, Workload


def specialists(tpot: str = "0.05") -> Spec:
    """`cruncher` computes 100 times as fast as `reader`, which reads ten times as fast."""
    types = [_type("cruncher", 10**11, 10**7), _type("reader", 10**9, 10**8)]
    hosts = [host("prompts", ["cruncher"]), host("decodes", ["reader"])]
    slo = Slo(ttft_s=Decimal("0.5"), tpot_s=Decimal(tpot), attainment=Decimal("0.9"))
    workload = Workload(
        prompt_tokens=Lengths(mean=512, max=512),
        output_tokens=Lengths(mean=12, max=12),
        slo=slo,
    )
    spec = spec_of(tiny_model(4), hosts, types=types)
    limits = spec.cluster.limits.model_copy(update={"chunk_tokens": 512})
    cluster = spec.cluster.model_copy(update={"limits": limits})
    return replace(spec, cluster=cluster, workload=workload, objective="slo")


def _type(name: str, flops_per_s: int, bytes_per_s: int) -> DeviceType:
    return DeviceType(
        name=name,
        kind="cuda",
        memory_bytes=10**9,
        memory_bandwidth_bytes_per_s=bytes_per_s,
        compute_flops_per_s=flops_per_s,
        origin="made up",
    )
