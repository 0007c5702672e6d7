"""Growth: what another plan adds to the plan of a launch, what it keeps, and what it ends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from hexplan.cluster import Cluster
from hexplan.errors import InputError
from hexplan.plan import Edge, Hop, Plan, Route, Stage
from hexplan.schedule.limits import step_limits_of
from hexplan_runtime.applying.view import View
from hexplan_runtime.launch.pipeline import APPLY_HINT

Slot = tuple[str, int]
"""A device: host name and index."""


@dataclass(frozen=True, slots=True)
class Growth:
    """The way from the plan that runs to another one; stages and routes by their places."""

    before: View
    after: View
    kept: frozenset[int]
    """Stages that go on as they are."""
    added: frozenset[int]
    """Stages that start."""
    retired: frozenset[int]
    """Stages that end."""
    first: frozenset[int]
    """Those of them that end before others start, as these need their memory."""
    opened: frozenset[int]
    """Routes that are new."""
    removed: frozenset[int]
    """Routes that no request takes any more."""

    @property
    def is_new(self) -> bool:
        """Whether anything changes but what is predicted."""
        before, after = self.before.whole, self.after.whole
        weights = [[route.weight for route in plan.routes] for plan in (before, after)]
        return bool(self.added or self.retired or self.opened) or weights[0] != weights[1]

    @property
    def held_back(self) -> Plan:
        """The plan of the launch with all its parts, and the weights that count so far."""
        old = self.before.whole.routes
        routes = [
            route.model_copy(update={"weight": old[n].weight if n < len(old) else Decimal(0)})
            for n, route in enumerate(self.after.whole.routes)
        ]
        return self.after.whole.model_copy(update={"routes": tuple(routes)})

    @property
    def closed_first(self) -> frozenset[int]:
        """Routes so far that need a stage which ends before others start."""
        whole = self.before.whole
        ids = {whole.stages[stage].id for stage in self.first}
        return frozenset(
            route
            for route in self.before.routes
            if any(hop.stage in ids for hop in whole.routes[route].hops)
        )


def growth_of(before: View, plan: Plan) -> Growth:
    """Return what it takes to apply a plan.

    Raises
    ------
    InputError
        It cannot be applied to a launch that runs.
    """
    require_same_ground(before, plan)
    whole = before.whole
    places = {_place(whole.stages[stage]): stage for stage in before.stages}
    enters = _enters(whole)
    stages, names, kept = list(whole.stages), dict[str, str](), set[int]()
    at: list[int] = []
    for stage in plan.stages:
        place = places.get(_place(stage))
        if place is not None and _enters(plan)[stage.id] <= enters[whole.stages[place].id]:
            kept.add(place)
        else:
            place = len(stages)
            stages.append(stage.model_copy(update={"id": _new_id(stage.id, stages)}))
        at.append(place)
        names[stage.id] = stages[place].id
    routes, routes_at = _routes(before, plan, names)
    grown = whole.model_copy(
        update={
            "stages": tuple(stages),
            "routes": tuple(routes),
            "edges": _edges(whole, plan, names),
            "cluster": _cluster(whole, plan),
            "workload": plan.workload,
            "step_limits": step_limits_of(plan),
        }
    )
    after = View(plan, grown, tuple(at), tuple(routes_at))
    retired = frozenset(before.stages) - kept
    added = frozenset(at) - kept
    return Growth(
        before=before,
        after=after,
        kept=frozenset(kept),
        added=added,
        retired=retired,
        first=_needed(grown, kept, added, retired),
        opened=frozenset(routes_at) - frozenset(before.routes),
        removed=frozenset(before.routes) - frozenset(routes_at),
    )


def require_same_ground(before: View, plan: Plan) -> None:
    """Refuse a plan for another model, or for hosts that are not those of the launch.

    Raises
    ------
    InputError
        Applying it would need a new launch.
    """
    running = before.plan
    hint = APPLY_HINT
    if plan.model != running.model:
        message = (
            f"found a plan for the model {plan.model.name} in {plan.model.dtype}, needed"
            f" {running.model.name} in {running.model.dtype} with the same sizes, as it runs"
        )
        raise InputError(message, hint=hint)
    runs, needs = before.whole.cluster, plan.cluster
    if (runs.techniques, runs.limits.policy) != (needs.techniques, needs.limits.policy):
        message = "found other `techniques` or another `limits.policy` than those that run"
        raise InputError(message, hint=hint)
    known = before.whole.cluster.host_by_name
    hosts = plan.cluster.host_by_name
    for name in dict.fromkeys(stage.host for stage in plan.stages):
        if name not in known:
            continue  # a host that joins
        now, then = known[name], hosts[name]
        if (now.devices, now.address, now.parts) != (then.devices, then.address, then.parts):
            message = f"host {name}: found other devices or another address than those that run"
            raise InputError(message, hint=hint)


def _cluster(whole: Plan, plan: Plan) -> Cluster:
    """Return the cluster of the launch with the hosts, links and device types that a plan adds."""
    cluster, other = whole.cluster, plan.cluster
    hosts = tuple(host for host in other.hosts if host.name not in cluster.host_by_name)
    known = {(link.source, link.target) for link in cluster.links}
    links = tuple(link for link in other.links if (link.source, link.target) not in known)
    types = tuple(
        device for device in other.device_types if device.name not in cluster.device_type_by_name
    )
    return cluster.model_copy(
        update={
            "hosts": cluster.hosts + hosts,
            "links": cluster.links + links,
            "device_types": cluster.device_types + types,
        }
    )


def _place(stage: Stage) -> Stage:
    """Return what makes a stage what it is, without what is predicted of it."""
    blank = {"id": "", "memory": (), "speed_origin": "", "speed_error": Decimal(0)}
    flows = {"capacity_tokens_per_s": Decimal(0), "load_tokens_per_s": Decimal(0)}
    return stage.model_copy(update=blank | flows)


def _enters(plan: Plan) -> dict[str, set[int]]:
    """Return the layers at which routes enter each stage: each begins a block of its cache."""
    found = {stage.id: {stage.layers[0]} for stage in plan.stages}
    for route in plan.routes:
        for hop in route.hops:
            found[hop.stage].add(hop.enter_layer)
    return found


def _new_id(wanted: str, stages: Sequence[Stage]) -> str:
    """Return the id if no stage of the launch has ever had it, or one like it."""
    taken = {stage.id for stage in stages}
    number = 2
    found = wanted
    while found in taken:
        found = f"{wanted}.{number}"
        number += 1
    return found


def _routes(before: View, plan: Plan, names: Mapping[str, str]) -> tuple[list[Route], list[int]]:
    """Return the routes of the launch with the plan's weights, and the places of the plan's."""
    whole = before.whole
    live = {whole.routes[route].hops: route for route in before.routes}
    routes = [route.model_copy(update={"weight": Decimal(0)}) for route in whole.routes]
    places: list[int] = []
    for route in plan.routes:
        hops = tuple(Hop(stage=names[hop.stage], enter_layer=hop.enter_layer) for hop in route.hops)
        mine = route.model_copy(update={"hops": hops})
        place = live.get(hops)
        if place is None:
            place = len(routes)
            routes.append(mine)
        else:
            routes[place] = mine
        places.append(place)
    return routes, places


def _edges(whole: Plan, plan: Plan, names: Mapping[str, str]) -> tuple[Edge, ...]:
    known = {(edge.source, edge.target) for edge in whole.edges}
    ours = [
        edge.model_copy(
            update={
                "source": names.get(edge.source, edge.source),
                "target": names.get(edge.target, edge.target),
            }
        )
        for edge in plan.edges
    ]
    return (*whole.edges, *(edge for edge in ours if (edge.source, edge.target) not in known))


def _needed(
    grown: Plan, kept: set[int], added: frozenset[int], retired: frozenset[int]
) -> frozenset[int]:
    """Return the stages whose devices do not hold the stages that start beside them."""
    full = _overfull(grown, [*kept, *added, *retired])
    starting = {slot for stage in added for slot in _slots(grown.stages[stage])}
    return frozenset(
        stage for stage in retired if full & starting & set(_slots(grown.stages[stage]))
    )


def _overfull(grown: Plan, stages: Sequence[int]) -> set[Slot]:
    """Return the devices that cannot hold all of these stages at once, as far as plans tell."""
    used, budgets, holders = Counter[Slot](), dict[Slot, int](), Counter[Slot]()
    for index in stages:
        stage = grown.stages[index]
        holders.update(_slots(stage))
        for memory in stage.memory:
            slot = stage.host, memory.device
            used[slot] += memory.budget_bytes - memory.free_bytes
            budgets[slot] = memory.budget_bytes
    return {
        slot
        for slot, number in holders.items()
        if number > 1 and (slot not in budgets or used[slot] > budgets[slot])
    }


def _slots(stage: Stage) -> list[Slot]:
    return [(stage.host, device) for device in stage.devices]
