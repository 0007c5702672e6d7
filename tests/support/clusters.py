"""Small clusters for solver tests, built without YAML."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from hexplan.cluster import Cluster, Coordinator, Limits, Link, Profile
from hexplan.device import DeviceType
from hexplan.host import Host, Interconnect
from hexplan.model import Model
from hexplan.spec import Spec
from hexplan.workload import Lengths, Workload

GBIT = 125_000_000
FAST = 10**12
Table = Sequence[float]


def tiny_model(layers: int, kv_heads: int = 4) -> Model:
    """A model of any number of small layers."""
    return Model(
        name="tiny",
        family="llama",
        layers=layers,
        hidden=64,
        heads=kv_heads,
        kv_heads=kv_heads,
        head_dim=16,
        ffn=128,
        vocab=256,
        dtype="float16",
        max_context=1_000_000,
    )


def device_type(name: str, memory_bytes: int = 10**9, speed: int = 10**12) -> DeviceType:
    return DeviceType(
        name=name,
        kind="cuda",
        memory_bytes=memory_bytes,
        memory_bandwidth_bytes_per_s=speed,
        compute_flops_per_s=100 * speed,
        origin="made up",
    )


def host(name: str, devices: Sequence[str], site: str = "here", nic: int = FAST) -> Host:
    return Host(
        name=name,
        site=site,
        devices=tuple(devices),
        interconnect=Interconnect(bandwidth_bytes_per_s=FAST, latency_s=Decimal("0.000001")),
        nic_in_bytes_per_s=nic,
        nic_out_bytes_per_s=nic,
    )


def profile(device: str, table: Table, tp: int = 1) -> Profile:
    rates = tuple(Decimal(str(rate)) for rate in table)
    return Profile(device=device, tp=tp, tokens_per_s=rates, source="made up")


def link(
    source: str,
    target: str,
    bandwidth: int = FAST,
    trunk: int | None = None,
    under: tuple[str, str] | None = None,
) -> Link:
    return Link(
        source=source,
        target=target,
        bandwidth_bytes_per_s=bandwidth,
        latency_s=Decimal("0.001"),
        trunk_bytes_per_s=trunk,
        under=under,
    )


def spec_of(
    model: Model,
    hosts: Sequence[Host],
    *,
    types: Sequence[DeviceType] = (),
    profiles: Sequence[Profile] = (),
    links: Sequence[Link] | None = None,
    time_s: float = 20.0,
    **changes: object,
) -> Spec:
    """A spec whose hosts all reach each other and the coordinator, unless links are given."""
    names = sorted({name for h in hosts for name in h.devices})
    known = {device.name: device for device in types}
    sites = sorted({h.site for h in hosts})
    if links is None:
        links = [link(a, b) for a in sites for b in sites]
    cluster = Cluster(
        name="test",
        hosts=tuple(hosts),
        coordinator=Coordinator(site=sites[0], nic_in_bytes_per_s=FAST, nic_out_bytes_per_s=FAST),
        links=tuple(links),
        device_types=tuple(known.get(name) or device_type(name) for name in names),
        profiles=tuple(profiles),
        limits=Limits(solve_time_s=time_s, chunk_tokens=64),
    )
    workload = Workload(
        prompt_tokens=Lengths(mean=64, max=64), output_tokens=Lengths(mean=64, max=64)
    )
    return Spec(cluster.model_copy(update=changes), model, workload)


def two_sites_with_a_trunk() -> Spec:
    """Two sites that pass 100 tokens/s each alone, with 10 more over a trunk each way."""
    model = tiny_model(4)
    trunk = 10 * model.hidden * model.dtype_bytes
    links = [link("a", "a"), link("b", "b")]
    links += [link("a", "b", trunk, trunk), link("b", "a", trunk, trunk)]
    hosts = [host("h0", ["d0"], site="a"), host("h1", ["d0"], site="b")]
    return spec_of(model, hosts, profiles=[profile("d0", [10, 10, 400, 100])], links=links)


def six_far_apart(latency_s: str) -> Spec:
    """Six like hosts, far from each other; by their table, few layers each pass most tokens."""
    far = link("here", "here", 10**7).model_copy(update={"latency_s": Decimal(latency_s)})
    return spec_of(
        tiny_model(12),
        [host(f"h{i}", ["d"]) for i in range(6)],
        types=[device_type("d", memory_bytes=6 * 10**6, speed=10**8)],
        profiles=[profile("d", [1000, 400, 150, 90])],
        links=[far],
    )
