"""What a user asks of an export."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hexplan.cluster import EngineName

Target = Literal[
    Literal["vllm", "sglang", "llamacpp"],
    Literal["compose", "k8s", "slurm"],
    Literal["nginx", "envoy", "httproute"],
]

FIRST_API_PORT = 8000
FIRST_MASTER_PORT = 29501
FIRST_RPC_PORT = 50052


@dataclass(frozen=True, slots=True)
class Listen:
    """Where a router in front of the replicas listens."""

    address: str = "127.0.0.1"
    port: int = 8080


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """What a user asks of an export besides its target."""

    engine: EngineName = "vllm"
    """What serves a replica."""
    model: str | None = None
    """The model as the hosts have it: a folder, a GGUF file, or a name; None means the plan's."""
    first_port: int = FIRST_API_PORT
    """The first replica's API listens here, those after it one higher each."""
    image: str | None = None
    """The container image; None means the engine's own, of the version that hexplan knows."""
    listen: Listen = Listen()
    """For nginx and envoy."""
    gateway: str = "hexplan"
    """For httproute: the name of the Gateway that it belongs to."""
    disjoint: bool = False
    """Whether a plan with shared stages is decomposed into whole replicas."""
