"""The plan: which layers sit where, how requests are routed, and how good that is at worst."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hexplan.cluster import Cluster, Parallel
from hexplan.field_types import Exact, Range
from hexplan.frozen_model import FrozenModel
from hexplan.model import Model
from hexplan.step_limits import StepLimits
from hexplan.workload import Workload

Objective = Literal["throughput", "sustained", "latency", "slo", "cost"]
"""What a plan is made for (docs/formulation.md 9)."""

ENTRY = "entry"
EXIT = "exit"
"""The two ends of every route, which are no stages."""


class Shard(FrozenModel):
    """What one device of a stage holds of each layer, as half-open intervals.

    A device of a stage that is `sp` or `shift` holds the weights of whole layers. Its KV cache, its
    attention, its part of the vocabulary and of a tensor-parallel step are those of its shard.
    """

    device: int
    """Device index on the stage's host."""
    kv_heads: Range
    """KV heads, each with the query heads that it serves."""
    ffn: Range
    """Channels of the feed-forward network."""
    vocab: Range
    """Rows of the embedding and of the output head, where the stage has them."""


class DeviceMemory(FrozenModel):
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
    """Activations of the largest step, and logits."""
    overhead_bytes: int = 0
    """What driver and framework take."""
    free_bytes: int
    """What is left of the budget."""


class Stage(FrozenModel):
    """One group of devices of one host that holds a range of layers."""

    id: str
    """`s0`, `s1`, ... in the order of layers."""
    host: str
    """The host whose devices it uses."""
    layers: Range
    """`[first, end)`."""
    parallel: Parallel = "tp"
    """How its devices share the work."""
    shift_tokens: Annotated[int, Field(ge=0)] | None = None
    """Where it is `shift`: the tokens of the largest step that is run tensor parallel."""
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
    speed_error: Exact
    """How far the capacity may be off, as a share of it."""

    @property
    def devices(self) -> tuple[int, ...]:
        """Device indices on the host, leader first."""
        return tuple(shard.device for shard in self.shards)

    @property
    def tp(self) -> int:
        """Devices that work together."""
        return len(self.shards)


class Edge(FrozenModel):
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


class Hop(FrozenModel):
    """A request's use of a stage, from the layer where it enters to the stage's end."""

    stage: str
    """Stage id."""
    enter_layer: int
    """The first layer that the request runs there."""


class Route(FrozenModel):
    """A chain of hops that runs every layer once."""

    hops: tuple[Hop, ...]
    """From layer 0 to L."""
    tokens_per_s: Exact
    """What the plan sends this way."""
    weight: Exact
    """Share of all requests; the shares sum to 1."""


class Unused(FrozenModel):
    """A device that the plan leaves out."""

    host: str
    """Host name."""
    device: int
    """Device index on the host."""
    reason: str
    """Why, in a sentence."""


class SimulatedRate(FrozenModel):
    """What the simulator served: means over its runs."""

    decode_tokens_per_s: Exact
    """Tokens that decodes gave, per second."""
    requests_per_s: Exact
    """Requests finished per second."""
    ttft_s: Exact
    """Mean time to the first token."""
    tpot_s: Exact
    """Mean time from one output token to the next."""
    seeds: tuple[int, ...]
    """Seeds of the runs."""
    duration_s: Exact
    """Simulated time of each run, warm-up included."""
    warmup_s: Exact
    """What of it was left out at the start."""


class SustainedRate(FrozenModel):
    """What the plan serves for long: KV room, round trips and the scheduler counted."""

    decode_tokens_per_s: Exact
    """Tokens that decodes give, per second."""
    requests_per_s: Exact
    """Requests per second."""
    policy: str
    """The scheduler that it holds for: `chunked` or `whole`."""
    basis: str
    """What both rates rest on."""
    simulated: SimulatedRate | None = None
    """The same as simulated, where the objective is sustained."""


class Basis(FrozenModel):
    """What a part of the prediction rests on."""

    origin: str
    """A stage's `speed_origin`, or `links`."""
    share: Exact
    """Share of the cut's value that rests on it."""


class Predicted(FrozenModel):
    """What the plan should deliver, by the figures that each stage's `speed_origin` names."""

    tokens_per_s: Exact
    """Prompt and output tokens per second."""
    requests_per_s: Exact
    """Mean requests per second."""
    least_tokens_per_s: Exact
    """The flow if every stage in use were slower by as much as the least certain of them may be."""
    most_tokens_per_s: Exact
    """No flow is larger if every stage of the cut were faster by as much as it may be."""
    rests_on: tuple[Basis, ...]
    """What the flow rests on, largest share first; the shares sum to 1."""
    cost_usd_per_h: Exact | None = None
    """What the hosts in use cost for an hour, where all of them have a price."""
    slo_requests_per_s: Exact | None = None
    """The largest simulated rate that keeps the workload's SLO, where that is the objective."""
    ttft_s: Exact | None = None
    """Mean time to the first token, at the workload's rate (objective latency) or the SLO's."""
    tpot_s: Exact | None = None
    """Mean time from one output token to the next, likewise."""
    latency_basis: str | None = None
    """What both times rest on."""
    sustained: SustainedRate | None = None
    """What it serves for long; the rates above are those of the static flow."""


class CutTerm(FrozenModel):
    """A capacity that takes part in the cut."""

    constraint: str
    """`stage:s1`, `link:s1>s2`, `pair:HOST>HOST`, `nic-out:HOST`, `nic-in:HOST` or
    `trunk:SOURCE>TARGET`."""
    price: Exact
    """How much flow one more unit of this capacity would bring; 1 in a plain cut."""
    capacity: Exact
    """The capacity, in tokens/s for a stage or link, in bytes/s for a NIC or trunk."""


class Certificate(FrozenModel):
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
    cost_bound_usd_per_h: Exact | None = None
    """No hosts that carry the workload's rate cost less, where the objective is cost."""
    cost_gap: Exact | None = None
    """`(cost - bound) / bound`, rounded up; nothing where the bound is 0."""
    cost_proof: str | None = None
    """How the bound on the cost was proved."""


class SolveInfo(FrozenModel):
    """How the plan was made: the only part that may differ between two runs of one input."""

    wall_s: float
    """Wall time."""
    seed: int
    """Seed of the search."""
    versions: dict[str, str]
    """Versions of hexplan, the solver and Python."""
    method: str = "hexplan"
    """What placed the layers: hexplan's own search, or a published method (docs/baselines.md)."""


class Plan(FrozenModel):
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
    objective: Objective = "throughput"
    """What the plan was made for."""
    stages: tuple[Stage, ...]
    """The placement."""
    edges: tuple[Edge, ...]
    """The flow."""
    routes: tuple[Route, ...]
    """The flow, decomposed."""
    unused: tuple[Unused, ...]
    """Devices left out."""
    step_limits: StepLimits | None = None
    """What each stage puts into a step; nothing means as much as the cluster's limits allow."""
    predicted: Predicted
    """What it should deliver."""
    certificate: Certificate
    """What is proved."""
    solve: SolveInfo
    """How it was made."""
