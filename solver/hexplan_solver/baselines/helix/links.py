"""The links of Helix's MILP: between every two machines, or only the fastest if there are many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hexplan.cluster import COORDINATOR
from hexplan.constants import MICRO
from hexplan.cost import link_rate
from hexplan.spec import Spec
from hexplan_solver.baselines.machines import BaselineMachine
from hexplan_solver.baselines.params import HELIX_PARAMS
from hexplan_solver.flow.network import OUTSIDE


@dataclass(frozen=True, slots=True)
class HelixLink:
    """A directed link between two machines by position, or from entry or to exit."""

    source: int
    target: int
    tokens_per_s: float

    @property
    def name(self) -> str:
        """A name for the MILP's variables."""
        ends = ("entry" if self.source == OUTSIDE else self.source, self.target)
        return f"{ends[0]}_{'exit' if ends[1] == OUTSIDE else ends[1]}"


def helix_links(spec: Spec, machines: Sequence[BaselineMachine]) -> list[HelixLink]:
    """List the links of a cluster's MILP; one is kept if it is among the fastest of either end."""
    entry = [_link(spec, None, machine) for machine in machines]
    leave = [_link(spec, machine, None) for machine in machines]
    inner = {
        (a.position, b.position): _link(spec, a, b) for a in machines for b in machines if a != b
    }
    if len(machines) <= HELIX_PARAMS.pruned_above:
        return [link for link in (*entry, *inner.values(), *leave) if link]
    kept = set()
    for machine in machines:
        around = [link for link in inner.values() if link and link.source == machine.position]
        kept |= {frozenset((link.source, link.target)) for link in _fastest(around, machines)}
    pruned = [link for ends, link in inner.items() if link and frozenset(ends) in kept]
    return [
        *_fastest([link for link in entry if link], machines),
        *pruned,
        *_fastest([link for link in leave if link], machines),
    ]


def _fastest(links: Sequence[HelixLink], machines: Sequence[BaselineMachine]) -> list[HelixLink]:
    """Return the fastest links; of equal ones, those whose machines' names come last."""
    names = {machine.position: machine.host for machine in machines} | {OUTSIDE: ""}

    def speed(link: HelixLink) -> tuple[float, str, str, int, int]:
        ends = (names[link.source], names[link.target])
        return (link.tokens_per_s, *ends, link.source, link.target)

    return sorted(links, key=speed, reverse=True)[: HELIX_PARAMS.kept_links]


def _link(
    spec: Spec, source: BaselineMachine | None, target: BaselineMachine | None
) -> HelixLink | None:
    hosts = (source.host if source else COORDINATOR, target.host if target else COORDINATOR)
    rate = link_rate(spec.cluster, spec.model, *hosts)
    if not rate:
        return None
    ends = (source.position if source else OUTSIDE, target.position if target else OUTSIDE)
    return HelixLink(*ends, rate / MICRO)
