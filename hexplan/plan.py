"""The plan: which layers sit where, how requests are routed, and how good that is at worst."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hexplan.cluster import Cluster
from hexplan.model import Model
from hexplan.noun import Exact, Noun, Range
from hexplan.workload import Workload

ENTRY = "entry"
EXIT = "exit"
"""The two ends of every route, which are no stages."""


class Shard(Noun):
    """What one device of a stage holds of each layer, as half-open intervals."""

    device: int
    """Device index on the stage's host."""
    kv_heads: Range
    """KV heads, each with the query heads that it serves."""
    ffn: Range
    """Channels of the feed-forward network."""
    vocab: Range
    """Rows of the embedding and of the output head, where the stage has them."""


class DeviceMemory(Noun):
    """How one device's memory is spent; the parts and `free_bytes` sum to the budget."""

    device: int
    """Device index on the stage's host."""
    budget_bytes: int
    """Memory of the device times `limits.memory_fraction`, rounded down."""
    weights_bytes: int
    """Weights of the shard."""
    kv_bytes: int
    """KV cache for `kv_tokens` of the stage."""
    workspace_bytes: int
    """Activations of the longest prompt, and logits."""
    free_bytes: int
    """What is left of the budget."""


class Stage(Noun):
    """One tensor-parallel group of one host that holds a range of layers."""

    id: str
    """`s0`, `s1`, ... in the order of layers."""
    host: str
    """The host whose devices it uses."""
    layers: Range
    """`[first, end)`."""
    parallel: Literal["tp"] = "tp"
    """How its devices share the work."""
    shards: tuple[Shard, ...]
    """One a device; the first is the leader, which talks to other stages."""
    memory: tuple[DeviceMemory, ...]
    """One a device, in the order of `shards`."""
    kv_tokens: int
    """Tokens of context that the stage's KV cache has room for."""
    capacity_tokens_per_s: Exact
    """What the stage can pass."""
    load_tokens_per_s: Exact
    """What the plan sends through it."""
    speed_origin: str
    """What the capacity rests on."""

    @property
    def devices(self) -> tuple[int, ...]:
        """Device indices on the host, leader first."""
        return tuple(shard.device for shard in self.shards)

    @property
    def tp(self) -> int:
        """Tensor-parallel degree."""
        return len(self.shards)


class Edge(Noun):
    """A used connection from a stage (or `entry`) to a stage (or `exit`)."""

    source: Annotated[str, Field(alias="from")]
    """A stage id, or `entry`."""
    target: Annotated[str, Field(alias="to")]
    """A stage id, or `exit`."""
    enter_layer: int
    """The layer that a request needs next: the end of `from` (0 at entry, L at exit)."""
    capacity_tokens_per_s: Exact
    """What the link between the two ends carries (the interconnect within one host)."""
    tokens_per_s: Exact
    """What the plan sends over it."""
    weight: Exact
    """Share of what leaves `from`; the shares of one stage sum to 1."""


class Hop(Noun):
    """A request's use of a stage, from the layer where it enters to the stage's end."""

    stage: str
    """Stage id."""
    enter_layer: int
    """The first layer that the request runs there."""


class Route(Noun):
    """A chain of hops that runs every layer once."""

    hops: tuple[Hop, ...]
    """From layer 0 to L."""
    tokens_per_s: Exact
    """What the plan sends this way."""
    weight: Exact
    """Share of all requests; the shares sum to 1."""


class Unused(Noun):
    """A device that the plan leaves out."""

    host: str
    """Host name."""
    device: int
    """Device index on the host."""
    reason: str
    """Why, in a sentence."""


class Predicted(Noun):
    """What the plan should deliver, by the figures that each stage's `speed_origin` names."""

    tokens_per_s: Exact
    """Prompt and output tokens per second."""
    requests_per_s: Exact
    """Mean requests per second."""


class CutTerm(Noun):
    """A capacity that takes part in the cut."""

    constraint: str
    """`stage:s1`, `link:s1>s2`, `nic-out:HOST`, `nic-in:HOST` or `trunk:SOURCE>TARGET`."""
    price: Exact
    """How much flow one more unit of this capacity would bring; 1 in a plain cut."""
    capacity: Exact
    """The capacity, in tokens/s for a stage or link, in bytes/s for a NIC or trunk."""


class Certificate(Noun):
    """Why the flow cannot be larger on this placement, and how much larger on any other."""

    flow_tokens_per_s: Exact
    """The value of the flow."""
    cut: tuple[CutTerm, ...]
    """Priced capacities that every route must cross, paying at least 1 per token."""
    cut_tokens_per_s: Exact
    """Sum of price times capacity: no flow on this placement is larger."""
    bound_tokens_per_s: Exact
    """No placement on this cluster has a larger flow."""
    bound_proof: str
    """How the bound was proved."""
    gap: Exact
    """`(bound - flow) / flow`, rounded up."""
    status: str
    """What the solver said, in a word or two."""


class SolveInfo(Noun):
    """How the plan was made: the only part that may differ between two runs of one input."""

    wall_s: float
    """Wall time."""
    seed: int
    """Seed of the search."""
    versions: dict[str, str]
    """Versions of hexplan, the solver and Python."""


class Plan(Noun):
    """Everything that the check and the launcher need, but the weights."""

    version: Literal[1] = 1
    """Version of this format."""
    cluster: Cluster
    """The cluster that was solved, units resolved."""
    cluster_sha256: str
    """Its hash."""
    model: Model
    """The model that was solved."""
    workload: Workload
    """The workload that was solved."""
    objective: Literal["throughput"] = "throughput"
    """What was maximised."""
    stages: tuple[Stage, ...]
    """The placement."""
    edges: tuple[Edge, ...]
    """The flow."""
    routes: tuple[Route, ...]
    """The flow, decomposed."""
    unused: tuple[Unused, ...]
    """Devices left out."""
    predicted: Predicted
    """What it should deliver."""
    certificate: Certificate
    """What is proved."""
    solve: SolveInfo
    """How it was made."""
