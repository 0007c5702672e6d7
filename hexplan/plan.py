"""The plan: which layers are where, how requests are routed, and how good that is at least."""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal

from pydantic import Field

from hexplan.bound_proof import Certificate as Certificate
from hexplan.bound_proof import CutTerm as CutTerm
from hexplan.cluster import Cluster, Parallel
from hexplan.field_types import Exact, Range
from hexplan.frozen_model import FrozenModel
from hexplan.model import Model
from hexplan.predicted import Predicted
from hexplan.step_limits import StepLimits
from hexplan.techniques import Chosen, Interleave, KvOffload, QueueName, queue_named
from hexplan.workload import Objective as Objective
from hexplan.workload import Workload

Phase = Literal["both", "prefill", "decode"]
"""What of a request a stage serves."""
ENTRY = "entry"
EXIT = "exit"
"""The two ends of every route, which are not stages."""


class Shard(FrozenModel):
    """What one device of a stage holds of each layer, as half-open intervals.

    In a stage that is `sp` or `shift`, each device holds the shards of all devices that it shares
    tokens with. Its own then says which KV heads and vocabulary rows are its own, and what it
    computes in a tensor-parallel step.
    """

    device: int
    """Device index on the stage's host."""
    kv_heads: Range
    """KV heads, each with its query heads. If n devices are more than the model's G KV heads, these
    are n copies: device i has copy i, of KV head `i * G // n`, and an n-th of the query heads."""
    ffn: Range
    """Channels of the feed-forward network."""
    vocab: Range
    """Rows of the embedding and of the output head, if the stage has them."""


class DeviceMemory(FrozenModel):
    """How one device's memory is used; the parts and `free_bytes` sum to the budget."""

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
    """A group of devices of one host that holds a range of layers."""

    id: str
    """`s0`, `s1`, ... in the order of layers."""
    host: str
    """The host whose devices it uses."""
    layers: Range
    """`[first, end)`."""
    parallel: Parallel = "tp"
    """How its devices share the work."""
    shift_tokens: Annotated[int, Field(ge=0)] | None = None
    """Only for `shift`: tokens of the largest step that runs tensor parallel."""
    sp_degree: Annotated[int | None, Field(ge=2, exclude_if=lambda degree: degree is None)] = None
    """Only for `sp` and `shift`: groups of devices that share out the tokens of a step, if there
    are fewer than devices; the devices of a group have its tokens in common, tensor parallel."""
    shards: tuple[Shard, ...]
    """One per device; the first device is the leader, which talks to other stages."""
    memory: tuple[DeviceMemory, ...]
    """One per device, in the order of `shards`."""
    kv_tokens: int
    """Tokens of context for which the stage's KV cache has room."""
    capacity_tokens_per_s: Exact
    """The most tokens/s that the stage passes."""
    load_tokens_per_s: Exact
    """The flow that the plan sends through it."""
    speed_origin: str
    """What the capacity rests on."""
    speed_error: Exact
    """How far the capacity may be off, as a share of it."""
    phase: Annotated[Phase, Field(exclude_if=lambda phase: phase == "both")] = "both"
    """What of requests it serves; where stages differ in it, `handovers` say how requests go."""
    interleave: Annotated[Interleave | None, Field(exclude_if=lambda how: how is None)] = None
    """How it computes one part of a step while it adds up another; null if it does not."""
    kv_offload: Annotated[KvOffload | None, Field(exclude_if=lambda how: how is None)] = None
    """How it keeps keys and values in host memory; null if it does not."""

    @property
    def room_tokens(self) -> int:
        """Tokens of context that it holds, in host memory too if it uses that."""
        return self.kv_tokens if self.kv_offload is None else self.kv_offload.kv_tokens

    @property
    def devices(self) -> tuple[int, ...]:
        """Device indices on the host, leader first."""
        return tuple(shard.device for shard in self.shards)

    @property
    def tp(self) -> int:
        """Devices that work together."""
        return len(self.shards)

    @property
    def token_groups(self) -> int:
        """Groups that share out the tokens of a step that is not tensor parallel throughout."""
        return self.tp if self.sp_degree is None else self.sp_degree


class Edge(FrozenModel):
    """A connection in use, from a stage (or `entry`) to a stage (or `exit`)."""

    source: Annotated[str, Field(alias="from")]
    """A stage id, or `entry`."""
    target: Annotated[str, Field(alias="to")]
    """A stage id, or `exit`."""
    enter_layer: int
    """The layer that a request needs next: the end of `from` (0 at entry, L at exit)."""
    capacity_tokens_per_s: Exact
    """The most tokens/s that the link carries, or the interconnect within one host."""
    tokens_per_s: Exact
    """The flow that the plan sends over it."""
    weight: Exact
    """Share of the flow that leaves `from`; the shares of one stage sum to 1."""


class Hop(FrozenModel):
    """A request's use of a stage, from the layer at which it enters to the stage's end."""

    stage: str
    """Stage id."""
    enter_layer: int
    """The first layer that the request runs there."""


class Route(FrozenModel):
    """A chain of hops that runs every layer once."""

    hops: tuple[Hop, ...]
    """From layer 0 to L."""
    tokens_per_s: Exact
    """The flow that the plan sends along it."""
    weight: Exact
    """Share of all requests; the shares of all routes sum to 1."""


class KvMove(FrozenModel):
    """KV that one stage prefills and another one decodes, which has to move between them."""

    source: Annotated[str, Field(alias="from")]
    """Id of the stage that prefills."""
    target: Annotated[str, Field(alias="to")]
    """Id of the stage that decodes."""
    layers: Range
    """The layers whose KV moves, half-open."""
    bytes_per_request: int
    """What moves for the prompt of a mean request."""
    capacity_requests_per_s: Exact
    """The most mean requests per second whose KV the link carries, or a host's interconnect."""


class Handover(FrozenModel):
    """A route that prompts take, the one that their decodes take, and the KV that moves between."""

    prefill: tuple[Hop, ...]
    """From layer 0 to L, over stages that serve prompts."""
    decode: tuple[Hop, ...]
    """From layer 0 to L, over stages that decode."""
    weight: Exact
    """Share of all requests; the shares of all handovers sum to 1."""
    kv_moves: tuple[KvMove, ...]
    """In the order of the layers; KV that the same stage decodes stays where it is."""


class Unused(FrozenModel):
    """A device that the plan leaves out."""

    host: str
    """Host name."""
    device: int
    """Device index on the host."""
    reason: str
    """Why, in a sentence."""


class SolveInfo(FrozenModel):
    """How the plan was made: the only part that may differ between two runs of the same input."""

    wall_s: float
    """Wall time."""
    seed: int
    """Seed of the search."""
    versions: dict[str, str]
    """Versions of hexplan, the solver and Python."""
    method: str = "hexplan"
    """What placed the layers: hexplan's own search, or a published method (docs/baselines.md)."""


def inputs_sha256(model: Model, workload: Workload, objective: Objective) -> str:
    """Return the hash of what a plan is for, besides its cluster."""
    parts = (model.model_dump_json(), workload.model_dump_json(), objective)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


class Plan(FrozenModel):
    """Everything that the check and the launcher need, except the weights."""

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
    inputs_sha256: str
    """The hash of model, workload and objective."""
    stages: tuple[Stage, ...]
    """The placement."""
    edges: tuple[Edge, ...]
    """The flow."""
    routes: tuple[Route, ...]
    """The flow, decomposed."""
    handovers: Annotated[tuple[Handover, ...], Field(exclude_if=lambda pairs: not pairs)] = ()
    """Ways of requests through a plan whose stages serve one phase each; else none. Edges, routes,
    loads and certificate then say what the same stages carry if all serve both."""
    unused: tuple[Unused, ...]
    """Devices left out."""
    techniques: Annotated[tuple[Chosen, ...], Field(exclude_if=lambda chosen: not chosen)] = ()
    """What came of techniques that the planner was to use only where they pay."""
    step_limits: StepLimits | None = None
    """What each stage puts into a step; null means as much as the cluster's limits allow."""
    predicted: Predicted
    """What it should deliver."""
    certificate: Certificate
    """What is proved."""
    solve: SolveInfo
    """How it was made."""

    @property
    def queue(self) -> QueueName:
        """Which requests run next where not all of them can."""
        asked = self.cluster.techniques.queue
        if asked != "auto":
            return asked
        names = (one.value for one in self.techniques if one.technique == "queue")
        return queue_named(next(names, "fcfs"))

    @property
    def is_split(self) -> bool:
        """Whether prefill and decode run on stages of their own, at least in part."""
        return bool(self.handovers) or any(stage.phase != "both" for stage in self.stages)
