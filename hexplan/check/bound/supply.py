"""What hosts can do: the groups that they can form, and how fast each of them is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hexplan.check.bound.curves import Curve, Curves
from hexplan.check.bound.host_shapes import Group, HostShape, Split, hosts_by_shape
from hexplan.check.lookup import Lookup


@dataclass(frozen=True, slots=True)
class ShapeSupply:
    """The hosts of one shape, and the curve of each group that one of them can form."""

    shape: HostShape
    hosts: tuple[str, ...]
    parts: tuple[tuple[Split, ...], ...]
    """For each part of a host's devices, the ways to split it."""
    curves: Mapping[Group, Curve]

    @classmethod
    def of(cls, shape: HostShape, hosts: tuple[str, ...], known: Curves) -> ShapeSupply:
        """List what hosts of a shape can form."""
        parts = shape.choices()
        groups = {group for splits in parts for split in splits for group, _ in split}
        curves = {group: known.of(shape, hosts[0], group) for group in sorted(groups)}
        return cls(shape, hosts, parts, curves)

    def most(self, worth: Callable[[Group], int]) -> int:
        """Return the most that the groups of one host are worth, over all its partitions."""
        worths = {group: worth(group) for group in self.curves}
        return sum(
            max((sum(n * worths[group] for group, n in split) for split in splits), default=0)
            for splits in self.parts
        )

    def work(self, flow: int) -> int:
        """Return the most work that one host adds if each layer passes a flow [W(F)].

        In layers times 1e-6 tokens/s, as the flow.
        """

        def work_of(group: Group) -> int:
            curve = self.curves[group]
            return max((k * min(rate, flow) for k, rate in enumerate(curve)), default=0)

        return self.most(work_of)


def supply_of(lookup: Lookup) -> tuple[ShapeSupply, ...]:
    """Return what the hosts of a plan's cluster can do, those of one shape together."""
    known = Curves(lookup)
    return tuple(
        ShapeSupply.of(shape, hosts, known) for shape, hosts in hosts_by_shape(lookup).items()
    )
