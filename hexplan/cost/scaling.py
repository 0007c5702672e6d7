"""Measured devices that stand for others: of the same type in other groups, or of one generation.

A group without a profile takes its times from the datasheet, times what the measured group took
over its own datasheet times (docs/formulation.md 4, "Scaled").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from hexplan.cluster import Cluster, Profile
from hexplan.cost.roofline import Roofline
from hexplan.cost.weights import ShardSizes
from hexplan.device import DeviceType
from hexplan.host import Interconnect
from hexplan.model import Model

SCALED_ERROR = Decimal("0.25")
"""Least error of scaled times; assumed."""


@dataclass(frozen=True, slots=True)
class Basis:
    """A measured group whose times are scaled for another one."""

    device: DeviceType
    profile: Profile

    @property
    def origin(self) -> str:
        """What a speed says that it rests on."""
        return f"measured {self.profile.tp} x {self.profile.device}, scaled"

    @property
    def error(self) -> Decimal:
        """How far the scaled times may be off."""
        return max(self.profile.error, SCALED_ERROR)

    def roofline(self, model: Model, interconnect: Interconnect | None) -> Roofline:
        """Return the measured group's own datasheet times: those of the fullest of equal shards."""
        n = self.profile.tp
        sizes = ShardSizes(-(-model.kv_heads // n), -(-model.ffn // n), -(-model.vocab // n))
        return Roofline(model, [(self.device, sizes)] * n, interconnect)


def find_basis(cluster: Cluster, devices: Sequence[DeviceType]) -> Basis | None:
    """Return the nearest measured group: of the same type first, then of the same generation.

    Of several, the one of the nearest size is taken, then the first in the file. Groups of unlike
    devices have none.
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
    return Basis(device, profile)
