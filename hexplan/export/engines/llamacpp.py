"""llama.cpp: a `llama-server` on the main machine, and an RPC server for each device elsewhere.

llama.cpp counts the output as one more layer, after the last one, and puts layer `l` of `L` on the
first device whose cumulated proportion exceeds `l / (L + 1)`. So the proportions are the layers of
each stage, with one more for the last: they sum to `L + 1`, and every border falls where the plan
has it (`src/llama-model.cpp` of b11434).
"""

from __future__ import annotations

from collections.abc import Sequence

from hexplan.engines import Replica
from hexplan.engines.replica import Rank
from hexplan.errors import CannotExpress
from hexplan.export.command import Command, FromVariable, Place, Word
from hexplan.export.deployment import Deployment, Member, Server
from hexplan.export.engines.figures import most_requests, step_tokens
from hexplan.export.engines.wording import Wording, require_kinds
from hexplan.export.names import authority
from hexplan.export.options import FIRST_RPC_PORT
from hexplan.plan import Plan

_BACKENDS = {"cuda": "CUDA", "rocm": "ROCm", "mps": "MTL", "xpu": "SYCL", "cpu": "CPU"}
_KV_TYPES = {"float32": "f32", "float16": "f16", "bfloat16": "f16", "int8": "q8_0"}
"""Of 16 bits, the one that all of its backends have."""
RPC_SERVER = "ggml-rpc-server"


def members(
    plan: Plan, replica: Replica, api_port: int, before: tuple[Server, ...]
) -> tuple[Member, ...]:
    """Return an RPC server for each device away from the main machine, and the main member.

    The main machine has the last stage, as it samples tokens. A CPU is no device that it could
    give layers to by itself, so in a chain each CPU slot gets an RPC server wherever it is.
    """
    machines = {machine.name: machine for host in plan.cluster.hosts for machine in host.machines}
    main = replica.ranks[-1].machine
    taken = sum(len(server.members) - 1 for server in before)
    found: list[Member] = []
    local: list[int] = []
    own_stages: list[str] = []
    for placed in replica.stages:
        for rank in placed.ranks:
            if not _is_remote(replica, rank, main):
                local.append(rank.device)
                own_stages.append(placed.stage.id)
                continue
            found.append(
                Member(
                    name=f"rpc{len(found)}",
                    machine=machines[rank.machine],
                    devices=(rank.device,),
                    stages=(placed.stage.id,),
                    port=FIRST_RPC_PORT + taken + len(found),
                    serves=False,
                )
            )
    stages = tuple(dict.fromkeys(own_stages))
    return (*found, Member("main", machines[main], tuple(local), stages, api_port, serves=True))


def command(deployment: Deployment, server: Server, places: Sequence[Place], index: int) -> Command:
    """Return what one member of a replica runs.

    Raises
    ------
    CannotExpress
        No files are written for such devices, or llama.cpp has no such KV cache.
    """
    require_kinds(deployment, server, tuple(_BACKENDS))
    member, place = server.members[index], places[index]
    if not member.serves:
        device = _device(server, member, place.devices[0])
        words: tuple[Word, ...] = (RPC_SERVER, "--host", place.own, "--port", str(member.port))
        return Command((), (*words, "--device", device, "--cache"))
    return Command((), tuple(_main_words(deployment, server, places)))


def _main_words(deployment: Deployment, server: Server, places: Sequence[Place]) -> list[Word]:
    own = places[-1]
    words: list[Word] = ["llama-server", "--model", _gguf(deployment)]
    words += ["--alias", deployment.plan.model.name]
    if rpc := _endpoints(server, places):
        words += ["--rpc", ",".join(rpc)]
    words += _split(deployment, server, own)
    kv_type = _kv_type(deployment)
    requests = _parallel(deployment, server)
    words += ["--cache-type-k", kv_type, "--cache-type-v", kv_type, "--flash-attn", "on"]
    words += ["--parallel", str(requests), "--ctx-size", str(requests * deployment.longest_tokens)]
    words += ["--batch-size", str(step_tokens(deployment))]
    words += ["--ubatch-size", str(step_tokens(deployment))]
    return [*words, "--host", own.own, "--port", str(server.api_port)]


def _gguf(deployment: Deployment) -> str:
    if not deployment.model.endswith(".gguf"):
        message = f"found the model {deployment.model}, needed a file that ends with .gguf"
        hint = "convert the folder with llama.cpp's convert_hf_to_gguf.py, and name it: `--model`"
        raise CannotExpress(message, hint=hint)
    return deployment.model


def _split(deployment: Deployment, server: Server, own: Place) -> list[Word]:
    layers = deployment.plan.model.layers
    if len(server.stages) > 1:
        counts = list(server.layers)
        counts[-1] += 1  # the output
        return [
            *("--device", ",".join(_device_order(server, own)), "--split-mode", "layer"),
            *("--tensor-split", ",".join(map(str, counts))),
            *("--n-gpu-layers", str(layers + 1), "--fit", "off"),
        ]
    (stage,) = server.stages
    if server.kinds == ("cpu",):
        if stage.tp > 1:
            message = f"stage {stage.id} has {stage.tp} CPU slots, and llama.cpp splits no tensors"
            hint = "give the host one CPU slot that stands for all its cores"
            message += " between CPUs"
            raise CannotExpress(message, hint=hint)
        return ["--device", "none", "--n-gpu-layers", "0", "--fit", "off"]
    names = [_device(server, server.front, device) for device in own.devices]
    whole: list[Word] = ["--device", ",".join(names), "--n-gpu-layers", str(layers + 1)]
    if stage.tp == 1:
        return [*whole, "--split-mode", "none", "--fit", "off"]
    heads = [str(shard.kv_heads[1] - shard.kv_heads[0]) for shard in stage.shards]
    return [*whole, "--split-mode", "tensor", "--tensor-split", ",".join(heads), "--fit", "off"]


def _device_order(server: Server, own: Place) -> list[str]:
    """Return the devices in the order of stages: those of RPC servers count by themselves."""
    main, remote, local = server.front.machine.name, 0, iter(own.devices)
    names = []
    for rank in server.replica.ranks:
        if _is_remote(server.replica, rank, main):
            names.append(f"RPC{remote}")
            remote += 1
        else:
            names.append(_device(server, server.front, next(local)))
    return names


def _is_remote(replica: Replica, rank: Rank, main: str) -> bool:
    return rank.machine != main or (rank.kind == "cpu" and len(replica.stages) > 1)


def _endpoints(server: Server, places: Sequence[Place]) -> list[str]:
    found = []
    for member, place in zip(server.members[:-1], places[:-1], strict=True):
        assert member.port is not None
        if isinstance(place.reach, FromVariable):
            message = f"the address of {member.name} is known only where it runs, and llama-server"
            message += " needs it on its command line"
            raise CannotExpress(message)
        if ":" in place.reach:
            message = (
                f"{member.machine.name} has the address {place.reach}, and `--rpc` of llama.cpp"
            )
            message += " reads no IPv6 addresses"
            raise CannotExpress(message, hint="give the host an IPv4 address or a name")
        found.append(authority(place.reach, member.port))
    return found


def _device(server: Server, member: Member, index: int) -> str:
    kinds = {
        (rank.machine, rank.device): rank.kind
        for rank in server.replica.ranks
        if rank.machine == member.machine.name
    }
    kind = next(kinds[member.machine.name, device] for device in member.devices)
    return "CPU" if kind == "cpu" else f"{_BACKENDS[kind]}{index}"


def _parallel(deployment: Deployment, server: Server) -> int:
    """Return how many of the longest requests every stage has KV room for, but one at least."""
    room = min(stage.kv_tokens for stage in server.stages)
    return max(1, min(most_requests(deployment), room // deployment.longest_tokens))


def _kv_type(deployment: Deployment) -> str:
    model = deployment.plan.model
    kv_dtype = model.kv_dtype or model.dtype
    if kv_dtype not in _KV_TYPES:
        message = f"llama.cpp keeps no KV cache in {kv_dtype}"
        raise CannotExpress(message, hint="set `kv_cache` of the model to float16 or int8")
    return _KV_TYPES[kv_dtype]


LLAMACPP = Wording(
    members, command, image="ghcr.io/ggml-org/llama.cpp:server-cuda-b11434", ready="/health"
)
