"""Whether any placement exists under pins and exclusions, by trying every one."""

from __future__ import annotations

from itertools import product

from support.brute import MICRO, _groupings, _least_covered, _ranges, flow_of

from hexplan.cluster import Cluster
from hexplan.host import Host
from hexplan.spec import Spec

Stage = tuple[str, list[int]]
"""A host, and the speeds of one of its groups by the layers that it holds."""


def has_plan(spec: Spec) -> bool:
    """Say whether some placement that obeys the pins has a route.

    For clusters of one device type a host whose speeds are all measured, and whose memory never
    binds.
    """
    cluster, layers = spec.cluster, spec.model.layers
    pins = {pin.host: pin.layers for pin in cluster.layer_pins}
    for way in product(*(_stages(cluster, host) for host in cluster.hosts)):
        stages = [stage for host in way for stage in host]
        choices = [
            [r for r in _ranges(layers, rates) if name not in pins or r in (None, pins[name])]
            for name, rates in stages
        ]
        for ranges in product(*choices):
            placed = [
                (name, r, rates[r[1] - r[0] - 1])
                for (name, rates), r in zip(stages, ranges, strict=True)
                if r is not None
            ]
            serving = {name for name, _, _ in placed}
            is_held = set(pins) <= serving and _least_covered(placed, layers) > 0
            if is_held and flow_of(spec, placed) > 0:
                return True
    return False


def _stages(cluster: Cluster, host: Host) -> list[list[Stage]]:
    """List the ways to group a host's devices, without what is excluded."""
    table = {
        (p.device, p.tp): [int(rate * MICRO) for rate in p.tokens_per_s] for p in cluster.profiles
    }
    tied = [pin.devices for pin in cluster.group_pins if pin.host == host.name]
    loose = [
        kind
        for index, kind in enumerate(host.devices)
        if not any(index in devices for devices in tied)
        and not any(e.host == host.name and e.device in (None, index) for e in cluster.exclusions)
    ]
    fixed = [[host.devices[d] for d in devices] for devices in tied]
    return [
        [(host.name, table.get((group[0], len(group)), [])) for group in [*fixed, *groups]]
        for groups in _groupings(loose)
    ]
