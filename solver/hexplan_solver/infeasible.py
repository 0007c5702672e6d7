"""Why no plan exists, in the user's words and with the sum."""

from __future__ import annotations

from hexplan.cost import ShardSizes
from hexplan.cost.memory import weights_bytes
from hexplan.errors import InfeasibleError
from hexplan_solver.problem import HostClass, Problem

GIB = 2**30


def refuse_if_infeasible(problem: Problem) -> None:
    """Raise where the hosts cannot hold all layers once, whatever goes where.

    Raises
    ------
    InfeasibleError
        With the room of each class of hosts and what is missing, or with a layer that the pins
        leave to no host.
    """
    _refuse_too_little_room(problem)
    held = {layer for kind in problem.kinds for layers in kind.ranges() for layer in range(*layers)}
    missing = sorted(set(range(problem.num_layers)) - held)
    if missing:
        message = f"no host may hold layer {missing[0]} of {problem.num_layers} under the pins"
        raise InfeasibleError(message, hint="loosen `pin`: a pinned host serves only its layers")


def _refuse_too_little_room(problem: Problem) -> None:
    rooms = [(host_class, _room(problem, host_class)) for host_class in problem.classes]
    total = sum(len(host_class.hosts) * room for host_class, room in rooms)
    needed = problem.num_layers
    if total >= needed:
        return
    model = problem.spec.model
    whole = ShardSizes(model.kv_heads, model.ffn, model.vocab)
    layer_gib = weights_bytes(model, whole, (1, 2)) / GIB
    parts = [
        f"{len(host_class.hosts)} x {room} layers ({_name(host_class)})"
        for host_class, room in rooms
    ]
    parts = parts or ["no host holds even one layer"]
    message = (
        f"{model.name} does not fit: it has {needed} layers, and all hosts together hold "
        f"{total} = {' + '.join(parts)}; short by "
        f"{needed - total} layers, {(needed - total) * layer_gib:.1f} GiB of {model.dtype} weights"
    )
    hint = (
        "add devices, choose a smaller model or type, shorten `workload` "
        f"(each stage keeps room for one request of {problem.spec.workload.max_tokens} tokens), "
        "or raise `limits.memory_fraction`"
    )
    raise InfeasibleError(message, hint=hint)


def _room(problem: Problem, host_class: HostClass) -> int:
    """Return the most layers that one host of a class can hold, in whatever groups."""
    return max(problem.room(way) for way in host_class.partitions)


def _name(host_class: HostClass) -> str:
    first, *others = host_class.hosts
    return f"{first} and {len(others)} like it" if others else first
