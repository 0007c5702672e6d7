"""Whether the hosts can hold all layers at all: sums that need no solver."""

from __future__ import annotations

from hexplan.cost import ShardSizes
from hexplan.cost.weights import weights_bytes
from hexplan.errors import InfeasibleError
from hexplan_solver.problem.problem import HostClass, Problem

GIB = 2**30


def refuse_if_infeasible(problem: Problem) -> None:
    """Raise where the hosts cannot hold all layers once, whatever goes where.

    Raises
    ------
    InfeasibleError
        With the room of each class of hosts and what is missing, or with a layer that the pins
        leave to no host.
    """
    if short_layers(problem) > 0:
        raise InfeasibleError(room_message(problem), hint=room_hint(problem))
    missing = unheld_layers(problem)
    if missing:
        message = f"no host may hold layer {missing[0]} of {problem.num_layers} under the pins"
        raise InfeasibleError(message, hint="loosen `pin`: a pinned host serves only its layers")


def short_layers(problem: Problem) -> int:
    """Return by how many layers all hosts together are too small; negative where there is room."""
    return problem.num_layers - sum(len(c.hosts) * _room(problem, c) for c in problem.classes)


def unheld_layers(problem: Problem) -> list[int]:
    """List the layers that no stage can hold."""
    served = {i for i, host_class in enumerate(problem.classes) if host_class.hosts}
    kinds = (kind for kind in problem.kinds if kind.host_class in served)
    held = {layer for kind in kinds for layers in kind.ranges() for layer in range(*layers)}
    return sorted(set(range(problem.num_layers)) - held)


def room_message(problem: Problem) -> str:
    """Say how many layers each class of hosts holds, and what is missing, in layers and GiB."""
    rooms = [(c, _room(problem, c)) for c in problem.classes if c.hosts and _room(problem, c)]
    total = sum(len(host_class.hosts) * room for host_class, room in rooms)
    model, needed = problem.spec.model, problem.num_layers
    parts = [f"{len(c.hosts)} x {room} layers ({_name(c)})" for c, room in rooms]
    parts = parts or ["no host holds even one layer"]
    unable = _unable(problem)
    left_out = f"; {', '.join(unable)} left out: no {model.dtype}" if unable else ""
    return (
        f"{model.name} does not fit: it has {needed} layers, and all hosts together hold "
        f"{total} = {' + '.join(parts)}; {short_words(problem, needed - total)}{left_out}"
    )


def short_words(problem: Problem, num_layers: int) -> str:
    """Say what so many missing layers are in weights."""
    model = problem.spec.model
    whole = ShardSizes(model.kv_heads, model.ffn, model.vocab)
    gib = num_layers * weights_bytes(model, whole, (1, 2)) / GIB
    kind = model.weights.name if model.weights else model.dtype
    return f"short by {num_layers} layers, {gib:.1f} GiB of {kind} weights"


def room_hint(problem: Problem) -> str:
    """Say what would make room, and how many more hosts of the roomiest class that takes."""
    hint = (
        "choose a smaller model or type, shorten `workload` "
        f"(each stage keeps room for one request of {problem.spec.workload.max_tokens} tokens), "
        "or raise `limits.memory_fraction`"
    )
    if _unable(problem):
        hint = f"state `dtype: float16` beside the model, {hint}"
    roomiest = max(problem.classes, key=lambda c: _room(problem, c), default=None)
    if roomiest is None or not _room(problem, roomiest):
        return f"add larger devices, {hint}"
    more = -(-short_layers(problem) // _room(problem, roomiest))
    return f"add {more} more like {roomiest.hosts[0]}, {hint}" if more > 0 else hint


def _room(problem: Problem, host_class: HostClass) -> int:
    """Return the most layers that one host of a class can hold, in whatever groups."""
    return max(problem.room(way) for way in host_class.partitions)


def _unable(problem: Problem) -> list[str]:
    """Return the device types of hosts that do not compute in the model's type."""
    cluster, dtype = problem.spec.cluster, problem.spec.model.dtype
    names = sorted({name for host in cluster.hosts for name in host.devices})
    return [name for name in names if not cluster.device_type_by_name[name].runs(dtype)]


def _name(host_class: HostClass) -> str:
    first, *others = host_class.hosts
    return f"{first} and {len(others)} like it" if others else first
