"""What the hosts supply to replicas: rows that every choice of designs keeps to."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from hexplan.constants import MICRO
from hexplan_solver.problem.problem import Problem
from hexplan_solver.replicas.crossing import trunks
from hexplan_solver.replicas.design import Design, typical_hosts
from hexplan_solver.replicas.parts import HostPart, devices_of

Row = tuple[int, str, int]
"""A class, and a device type with 0, or an empty type with m; or -1, and a trunk with 0.

The second kind says that a host has room for at most m parts of more than 1/(m + 1) of it.
"""


LINKS = -1
KILO = 1000
"""Trunks are counted in kB/s."""


@dataclass(slots=True)
class Supply:
    """The rows of a problem, and what parts and designs take of them.

    A part takes its devices. A host of n devices has room for at most m parts of more than
    n / (m + 1) of them each. With these rows, parts of 1, 2, 4 and 8 devices fit if the rows hold.
    """

    problem: Problem
    limits: dict[Row, int]
    """How much there is of each row."""
    _known: dict[HostPart, dict[Row, int]] = field(default_factory=dict)

    @staticmethod
    def of(problem: Problem) -> Supply:
        """Count the usable devices and the hosts of every class."""
        cluster = problem.spec.cluster
        limits: Counter[Row] = Counter()
        for number, host_class in enumerate(problem.classes):
            for name in host_class.hosts:
                usable = usable_devices(problem, name)
                for device in usable:
                    limits[number, cluster.host_by_name[name].devices[device], 0] += 1
            if host_class.hosts:
                size = len(usable_devices(problem, host_class.hosts[0]))
                for m in range(1, size):
                    limits[number, "", m] = m * len(host_class.hosts)
        for rule in cluster.links:
            if rule.trunk_bytes_per_s is not None:
                limits[LINKS, f"{rule.source}>{rule.target}", 0] = rule.trunk_bytes_per_s // KILO
        return Supply(problem, dict(limits))

    def taken_by_part(self, part: HostPart) -> dict[Row, int]:
        """Return what a part takes of each row."""
        if part not in self._known:
            devices = devices_of(self.problem, part)
            taken = {(part.host_class, name, 0): count for name, count in devices.items()}
            host = self.problem.classes[part.host_class].hosts[0]
            size, own = len(usable_devices(self.problem, host)), sum(devices.values())
            for m in range(1, size):
                if own * (m + 1) > size:
                    taken[part.host_class, "", m] = 1
            self._known[part] = taken
        return self._known[part]

    def taken_by(self, design: Design) -> dict[Row, int]:
        """Return what a design takes of each row."""
        total: Counter[Row] = Counter()
        for part in design.parts:
            total.update(self.taken_by_part(part))
        hosts = typical_hosts(self.problem, design.parts, design.seats)
        for (trunk, _), size in trunks(self.problem, hosts).items():
            total[LINKS, trunk, 0] += design.rate * size // (MICRO * KILO)
        return dict(total)

    def price(self, part: HostPart, prices: dict[Row, float]) -> float:
        """Return what a part costs."""
        return sum(prices[row] * n for row, n in self.taken_by_part(part).items())


def usable_devices(problem: Problem, host: str) -> tuple[int, ...]:
    """Return the devices of a host that the user did not exclude."""
    cluster = problem.spec.cluster
    count = len(cluster.host_by_name[host].devices)
    return tuple(device for device in range(count) if not cluster.is_excluded(host, device))
