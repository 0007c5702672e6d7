"""Scaled times: a measured group stands in for one of the same device type or generation.

A group without a profile takes its datasheet times, multiplied by the ratio of measured to
datasheet times of the measured group (docs/formulation.md 4, "Scaled").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from hexplan.cluster import Cluster, Profile
from hexplan.constants import SCALED_ERROR
from hexplan.cost.roofline import Roofline
from hexplan.cost.stage_shape import DeviceShard
from hexplan.cost.weights import ShardSizes
from hexplan.device import DeviceType
from hexplan.host import Interconnect
from hexplan.model import Model


@dataclass(frozen=True, slots=True)
class MeasuredGroup:
    """A measured group of devices whose times are scaled for another group."""

    device: DeviceType
    profile: Profile

    @property
    def origin(self) -> str:
        """The origin that a scaled speed states."""
        return f"measured {self.profile.tp} x {self.profile.device}, scaled"

    @property
    def error(self) -> Decimal:
        """How far the scaled times may be off, as a share of them."""
        return max(self.profile.error, SCALED_ERROR)

    def roofline(self, model: Model, interconnect: Interconnect | None) -> Roofline:
        """Return the measured group's own datasheet times: those of its largest shard."""
        n = self.profile.tp
        model = model.as_held_by(n)
        sizes = ShardSizes(-(-model.kv_heads // n), -(-model.ffn // n), -(-model.vocab // n))
        return Roofline(model, [DeviceShard(self.device, sizes)] * n, interconnect)


def nearest_measured_group(cluster: Cluster, devices: Sequence[DeviceType]) -> MeasuredGroup | None:
    """Return the nearest measured group: of the same type if possible, else of the generation.

    Of several, return that of the nearest size, then the first in the file. Groups of mixed devices
    have none.
    """
    if len({device.profile_name for device in devices}) > 1:
        return None
    target, types = devices[0], cluster.device_type_by_name
    known = [(p, types[p.device]) for p in cluster.profiles if p.device in types]
    near = [
        (device.name != target.profile_name, abs(profile.tp - len(devices)), position)
        for position, (profile, device) in enumerate(known)
        if device.name == target.profile_name
        or (device.arch is not None and device.arch == target.arch)
    ]
    if not near:
        return None
    profile, device = known[min(near)[2]]
    return MeasuredGroup(device, profile)
