"""The cluster: hosts with devices, and the links between them, with every unit resolved."""

from __future__ import annotations

import hashlib
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Literal

from pydantic import Field

from hexplan.device import DeviceType
from hexplan.field_types import Compression, Exact, Positive, Range
from hexplan.frozen_model import FrozenModel
from hexplan.host import Host, Interconnect
from hexplan.techniques import Phases, Techniques

COORDINATOR = "coordinator"
"""Where requests enter and tokens leave: an end of links beside the hosts."""

Allowed = Literal["all", "tokens", "none"]
"""What may pass: `all`, only `tokens` to and from the coordinator (no activations), or `none`."""


class Coordinator(FrozenModel):
    """Where requests enter and tokens leave."""

    site: str
    """The site that it is in."""
    nic_in_bytes_per_s: Positive
    """What all stages together can send to it."""
    nic_out_bytes_per_s: Positive
    """What it can send to all stages together."""


class Link(FrozenModel):
    """A one-way link rule between two ends, each a host, a site or the coordinator.

    It applies to every pair of hosts that its ends name. The most specific rule wins: host to host,
    then host and site, then site to site. A rule `under` another one has its own bandwidth and
    latency, and the other's trunk and policy.
    """

    source: str
    """A host, a site, or `coordinator`."""
    target: str
    """A host, a site, or `coordinator`."""
    bandwidth_bytes_per_s: Positive
    """What each pair of hosts can carry."""
    latency_s: Exact
    """One-way latency."""
    trunk_bytes_per_s: Positive | None = None
    """What all pairs under this rule can carry together, if they share a line."""
    allow: Allowed = "all"
    """What may pass: activations and tokens, tokens alone, or nothing."""
    under: tuple[str, str] | None = None
    """Source and target of the rule whose trunk and policy apply, if they are not its own."""
    compress: Annotated[Compression, Field(exclude_if=lambda how: how == "none")] = "none"
    """How activations pass; token ids always pass as they are."""

    def permits(self, source: str, target: str) -> bool:
        """Say whether the policy lets traffic between two hosts (or the coordinator) pass."""
        if self.allow == "tokens":
            return COORDINATOR in (source, target)
        return self.allow == "all"


Scheduling = Literal["chunked", "whole"]
"""How prompts run: in chunks beside decodes, or whole inside the steps of decodes."""
EngineName = Literal["hexplan", "vllm", "sglang", "llamacpp"]
"""What runs a plan; each but the first runs some plans alone (`hexplan/engines`)."""
Parallel = Literal["tp", "sp", "shift"]
"""How the devices of a stage share its work.

With `tp` (tensor parallelism) each device has a part of every layer, with `sp` (sequence
parallelism) a part of the tokens; with `shift`, small steps are `tp` and large ones `sp`.
"""

StepPoint = tuple[Annotated[int, Field(ge=0)], Exact]
"""Tokens in a step, and the seconds of one layer for them."""


class Profile(FrozenModel):
    """Measured speed of one kind of stage: devices that work as one tensor-parallel group."""

    device: str
    """Device type."""
    tp: Annotated[int, Field(gt=0, le=1024)]
    """Devices in the group, at most as many as a host may have."""
    tokens_per_s: tuple[Exact, ...]
    """Tokens/s that the group passes when it holds 1, 2, ... layers; it can hold no more."""
    prefill_layer_s: tuple[StepPoint, ...] = ()
    """Seconds of one layer by prompt tokens in a step, ascending; empty if not measured."""
    decode_layer_s: tuple[StepPoint, ...] = ()
    """Seconds of one layer by tokens decoded in a step, one per request; empty if not measured."""
    head_s: tuple[StepPoint, ...] = ()
    """Seconds of the output head by rows that a step samples, ascending; empty if not measured."""
    step_s: Annotated[tuple[StepPoint, ...], Field(exclude_if=lambda points: not points)] = ()
    """Seconds of a step besides layers and head, by rows, ascending; only simulations use it."""
    kv_tokens: tuple[Positive, ...] = ()
    """Tokens of context that fit with 1, 2, ... layers; only simulations use it."""
    max_prompts: tuple[Positive, ...] = ()
    """The most prompts in one step with 1, 2, ... layers; only simulations use it."""
    max_decode_tokens: tuple[Positive, ...] = ()
    """The most tokens decoded in one step with 1, 2, ... layers; only simulations use it."""
    slowdown: Annotated[Exact | None, Field(ge=1, exclude_if=lambda times: times is None)] = None
    """How many times as long computing and summing up took while both went on, if measured."""
    error: Annotated[Exact, Field(lt=1)] = Decimal("0.1")
    """How far its times may be off, as a share of them; assumed unless the file states it."""
    source: str
    """Who measured it, and how."""


class Correction(FrozenModel):
    """How the observed times of a kind of stage differ from those predicted without it.

    It applies only to tensor-parallel stages, as only these were observed; stages that share out
    tokens (sp, shift) keep their predicted times.
    """

    device: str
    """Device type; groups of unlike devices have no correction."""
    tp: Annotated[int, Field(gt=0, le=1024)]
    """Devices in the group."""
    prefill: Annotated[Exact, Field(gt=0, le=1_000_000)] = Decimal(1)
    """Factor on the seconds of prompts [f_p]."""
    decode: Annotated[Exact, Field(gt=0, le=1_000_000)] = Decimal(1)
    """Factor on the seconds of decodes and the output head [f_d]."""
    layer_step_s: Annotated[Exact, Field(le=1_000_000)] = Decimal(0)
    """Seconds that every step adds in every layer, whatever it holds [u]."""
    error: Annotated[Exact, Field(lt=1)]
    """How far the corrected times may be off, as a share of them."""
    source: str
    """What was observed."""


class LayerPin(FrozenModel):
    """A host that must serve, and hold exactly these layers in each of its stages."""

    host: str
    """Host name."""
    layers: Range
    """`[first, end)`."""


class GroupPin(FrozenModel):
    """Devices of one host that form one stage, if they serve at all."""

    host: str
    """Host name."""
    devices: tuple[int, ...]
    """Device indices on that host."""


class Exclusion(FrozenModel):
    """A host or a device that must stay unused."""

    host: str
    """Host name."""
    device: int | None = None
    """Device index on that host; null means all of them."""


class Limits(FrozenModel):
    """What a plan may use."""

    memory_fraction: Annotated[Exact, Field(gt=0, le=1)] = Decimal("0.9")
    """Share of each device's memory that the plan may fill."""
    chunk_tokens: Positive = 512
    """The most tokens that a stage puts through its layers at once; longer prompts are split."""
    parallel: Annotated[tuple[Parallel, ...], Field(min_length=1)] = ("tp",)
    """How the devices of a stage may share its work; a stage uses the fastest of these."""
    join: Annotated[tuple[tuple[str, ...], ...], Field(exclude_if=lambda sets: not sets)] = ()
    """Sets of hosts; the hosts of a set may be joined, so that their devices form one stage."""
    step_overhead_s: Annotated[Exact, Field(lt=60)] = Decimal(0)
    """What each step of a stage takes besides its layers [o]; measured times include theirs."""
    token_overhead_s: Annotated[Exact, Field(lt=60)] = Decimal(0)
    """What the last stage takes for each output token besides its head; so do measured times."""
    hop_overhead_s: Annotated[Exact, Field(lt=60)] = Decimal(0)
    """What a message between two stages takes besides its link."""
    policy: Annotated[Scheduling, Field(exclude_if=lambda policy: policy == "chunked")] = "chunked"
    """The scheduler to plan for, where a rate is sustained."""
    engine: Annotated[EngineName, Field(exclude_if=lambda name: name == "hexplan")] = "hexplan"
    """What will run the plan: the plan keeps to what it runs."""
    phases: Annotated[Phases, Field(exclude_if=lambda phases: phases == "any")] = "any"
    """Whether prefill and decode of a request may be on different stages."""
    latency_factor: Annotated[Exact, Field(ge=1, exclude_if=lambda k: k == 2)] = Decimal(2)
    """How many times the latencies of the shallowest plan the objective balanced allows."""
    solve_time_s: Annotated[float, Field(gt=0)] = 30.0
    """Wall-clock limit of the search."""


class Cluster(FrozenModel):
    """The description of a cluster, with every quantity in SI units."""

    name: str
    """The user's name for it."""
    hosts: tuple[Host, ...]
    """All hosts, ranges expanded."""
    coordinator: Coordinator
    """Where requests enter and tokens leave."""
    links: tuple[Link, ...]
    """Link rules; a pair of hosts that no rule names is not connected."""
    trusted_sites: Annotated[tuple[str, ...], Field(exclude_if=lambda sites: not sites)] = ()
    """Sites inside of which what hosts send each other need not be encrypted."""
    device_types: tuple[DeviceType, ...]
    """Every device type that a host uses."""
    profiles: tuple[Profile, ...] = ()
    """Measured speeds, which take precedence over the datasheet."""
    corrections: Annotated[tuple[Correction, ...], Field(exclude_if=lambda rows: not rows)] = ()
    """Corrections from launched plans; without any, the cluster's JSON and hash do not change."""
    layer_pins: tuple[LayerPin, ...] = ()
    """Hosts that the user tied to layers."""
    group_pins: tuple[GroupPin, ...] = ()
    """Devices that the user tied together."""
    exclusions: tuple[Exclusion, ...] = ()
    """Hosts and devices that the user excluded."""
    limits: Limits = Limits()
    """What a plan may use."""
    techniques: Annotated[Techniques, Field(exclude_if=Techniques.is_none)] = Techniques()
    """What a launch does besides running requests in the order of arrival."""

    @cached_property
    def has_trunks(self) -> bool:
        """Whether links share lines of limited bandwidth."""
        return any(link.trunk_bytes_per_s for link in self.links)

    @cached_property
    def host_by_name(self) -> dict[str, Host]:
        """Hosts by name."""
        return {host.name: host for host in self.hosts}

    @cached_property
    def device_type_by_name(self) -> dict[str, DeviceType]:
        """Device types by name."""
        return {device.name: device for device in self.device_types}

    def measured_over(self, interconnect: Interconnect | None) -> Cluster:
        """Return the cluster with those measurements only that apply to groups on an interconnect.

        Groups of several devices were measured in one host, so joined hosts use none of them.
        """
        is_joined = interconnect is not None and interconnect.crosses_hosts
        return self._with_single_device_profiles if is_joined else self

    @cached_property
    def _with_single_device_profiles(self) -> Cluster:
        profiles = tuple(profile for profile in self.profiles if profile.tp == 1)
        return self.model_copy(update={"profiles": profiles, "corrections": ()})

    @cached_property
    def _link_by_ends(self) -> dict[tuple[str, str], Link]:
        return {(link.source, link.target): link for link in self.links}

    @cached_property
    def place_of(self) -> dict[tuple[str, int], tuple[str, int]]:
        """The host and index of each device, by its machine and its index there."""
        return {
            slot: (host.name, index) for host in self.hosts for index, slot in enumerate(host.slots)
        }

    def site_of(self, end: str) -> str:
        """Return the site of a host or of the coordinator."""
        return self.coordinator.site if end == COORDINATOR else self.host_by_name[end].site

    def is_trusted(self, source: str, target: str) -> bool:
        """Say whether what two hosts send each other stays inside a trusted site.

        Never with the coordinator: requests come to it from outside.
        """
        if COORDINATOR in (source, target):
            return False
        site = self.site_of(source)
        return site == self.site_of(target) and site in self.trusted_sites

    def link(self, source: str, target: str) -> Link | None:
        """Return the rule for a pair of hosts (or the coordinator), or None if nothing may pass."""
        rule = self.rule(source, target)
        return rule if rule is not None and self.over(rule).permits(source, target) else None

    def rule(self, source: str, target: str) -> Link | None:
        """Return the most specific rule that names a pair, whatever the rule allows."""
        found = self._link_by_ends.get  # asked for thousands of pairs, so without any detour
        if (own := found((source, target))) is not None:
            return own
        site, other = self.site_of(source), self.site_of(target)
        return found((source, other)) or found((site, target)) or found((site, other))

    def over(self, link: Link) -> Link:
        """Return the rule whose trunk and policy apply: the one that a rule is under, or itself."""
        return self._link_by_ends.get(link.under, link) if link.under else link

    def is_excluded(self, host: str, device: int) -> bool:
        """Say whether the user excluded this device."""
        return any(e.host == host and e.device in (None, device) for e in self.exclusions)

    @property
    def sha256(self) -> str:
        """Hash of the canonical JSON of this cluster."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()
