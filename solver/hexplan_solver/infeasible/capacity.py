"""Whether the hosts have room for all layers: sums that need no solver."""

from __future__ import annotations

from hexplan.cost import ShardSizes
from hexplan.cost.weights import weights_bytes
from hexplan.errors import InfeasibleError
from hexplan.units import GIB
from hexplan_solver.problem.problem import HostClass, Problem


def refuse_if_infeasible(problem: Problem) -> None:
    """Raise if the hosts cannot hold all layers, whatever the placement.

    Raises
    ------
    InfeasibleError
        Its message states the layers that each class of hosts can hold and what is missing, or a
        layer that no host may hold under the pins.
    """
    if missing_layers(problem) > 0:
        raise InfeasibleError(capacity_message(problem), hint=capacity_hint(problem))
    unheld = unheld_layers(problem)
    if unheld:
        message = f"no host may hold layer {unheld[0]} of {problem.num_layers} under the pins"
        raise InfeasibleError(message, hint="loosen `pin`: a pinned host serves only its layers")


def missing_layers(problem: Problem) -> int:
    """Return the layers that are too many for all hosts together; negative if they have room."""
    return problem.num_layers - sum(len(c.hosts) * _max_layers(problem, c) for c in problem.classes)


def unheld_layers(problem: Problem) -> list[int]:
    """List the layers that no stage can hold."""
    served = {i for i, host_class in enumerate(problem.classes) if host_class.hosts}
    held: set[int] = set()
    for kind in problem.kinds:
        if kind.host_class not in served:
            continue
        for layers in kind.ranges():
            held.update(range(*layers))
        if len(held) == problem.num_layers:
            return []  # without pins, the first kind says it
    return sorted(set(range(problem.num_layers)) - held)


def capacity_message(problem: Problem) -> str:
    """Say how many layers each class of hosts holds, and what is missing, in layers and GiB."""
    layers_of = [(c, _max_layers(problem, c)) for c in problem.classes if c.hosts]
    able = [(host_class, layers) for host_class, layers in layers_of if layers]
    total = sum(len(host_class.hosts) * layers for host_class, layers in able)
    model, needed = problem.spec.model, problem.num_layers
    terms = [f"{len(c.hosts)} x {layers} layers ({_name(c)})" for c, layers in able]
    terms = terms or ["no host holds even one layer"]
    unable = _unable(problem)
    left_out = f"; {', '.join(unable)} left out: no {model.dtype}" if unable else ""
    return (
        f"{model.name} does not fit: it has {needed} layers, and all hosts together hold "
        f"{total} = {' + '.join(terms)}; {missing_words(problem, needed - total)}{left_out}"
    )


def missing_words(problem: Problem, num_layers: int) -> str:
    """Say how many layers are missing, and how large their weights are."""
    model = problem.spec.model
    whole = ShardSizes(model.kv_heads, model.ffn, model.vocab)
    gib = num_layers * weights_bytes(model, whole, (1, 2)) / GIB
    kind = model.weights.words if model.weights else f"{model.dtype} weights"
    return f"short by {num_layers} layers, {gib:.1f} GiB of {kind}"


def capacity_hint(problem: Problem) -> str:
    """Say what would make room, and how many more hosts of the largest class that takes."""
    hint = (
        "choose a smaller model or type, shorten `workload` "
        f"(each stage keeps room for one request of {problem.spec.workload.max_tokens} tokens), "
        "or raise `limits.memory_fraction`"
    )
    if _unable(problem):
        hint = f"state `dtype: float16` beside the model, {hint}"
    largest = max(problem.classes, key=lambda c: _max_layers(problem, c), default=None)
    if largest is None or not _max_layers(problem, largest):
        return f"add larger devices, {hint}"
    more = -(-missing_layers(problem) // _max_layers(problem, largest))
    return f"add {more} more like {largest.hosts[0]}, {hint}" if more > 0 else hint


def _max_layers(problem: Problem, host_class: HostClass) -> int:
    """Return the most layers that one host of a class can hold, whatever its partition."""
    return max(problem.max_layers(partition) for partition in host_class.partitions)


def _unable(problem: Problem) -> list[str]:
    """Return the device types of hosts that do not compute in the model's type."""
    cluster, dtype = problem.spec.cluster, problem.spec.model.dtype
    names = sorted({name for host in cluster.hosts for name in host.devices})
    return [name for name in names if not cluster.device_type_by_name[name].runs(dtype)]


def _name(host_class: HostClass) -> str:
    first, *others = host_class.hosts
    return f"{first} and {len(others)} like it" if others else first
