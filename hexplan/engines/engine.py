"""What an engine is: the plans that it runs, as a person would read it in its documentation."""

from __future__ import annotations

from dataclasses import dataclass

from hexplan.cluster import EngineName


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine that serves a model, with the restrictions that it puts on a plan."""

    name: EngineName
    """What `limits.engine` calls it."""
    title: str
    """What people call it."""
    version: str
    """The version whose restrictions these are."""
    source: str
    """Where they were read."""
    whole_replicas: bool = False
    """Whether each request passes a chain of stages that no other chain shares."""
    tensor_only: bool = False
    """Whether all devices of a stage work tensor parallel."""
    one_degree: bool = False
    """Whether all stages of a replica have equally many devices."""
    single_devices_in_chains: bool = False
    """Whether a replica of several stages has one device in each."""
    even_shards: bool = False
    """Whether the devices of a stage have equal shards: their number divides the KV heads, or is a
    multiple of them."""
    heads_once: bool = False
    """Whether a stage has at most as many devices as the model has KV heads."""
    equal_ranks: bool = False
    """Whether all machines of a replica carry equally many of its ranks, one after the other."""
    one_platform: bool = False
    """Whether the devices of a replica are all of one kind, such as cuda."""
    star_of_hosts: bool = False
    """Whether what two hosts exchange passes the replica's main host, that of its last stage."""
    stage_on_one_machine: bool = False
    """Whether the devices of a stage are on one machine."""
    weight_formats: tuple[str, ...] | None = None
    """Formats of quantised weights that it reads; None if hexplan does not tell."""
    plain_kv_in_tensor: bool = False
    """Whether a stage of several devices keeps its KV cache in 16 or 32 bits."""
