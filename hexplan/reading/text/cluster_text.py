"""The text of a cluster.yaml, field by field: short forms are kept, quantities are read."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BeforeValidator, ConfigDict, Discriminator, Field, Tag, model_validator

from hexplan.cluster import Allowed, EngineName, Parallel, Scheduling
from hexplan.constants import STEP_OVERHEAD_S, TOKEN_OVERHEAD_S
from hexplan.field_types import Compression
from hexplan.model import Model
from hexplan.reading.text.base import Text
from hexplan.reading.text.device_text import DeviceText
from hexplan.reading.text.fields import (
    AddressRange,
    Bandwidth,
    Bytes,
    DeviceCount,
    DeviceName,
    DeviceSlot,
    Exclusion,
    Factor,
    Fraction,
    Label,
    LinkName,
    Many,
    Name,
    NameRange,
    Pair,
    Price,
    Seconds,
    UsedBytes,
    list_or_value,
    mapping_or_value,
    model_form,
)
from hexplan.reading.text.model_text import FolderModel, NamedModel, Numbers, with_known_format
from hexplan.reading.text.techniques_text import TechniquesText
from hexplan.reading.text.workload_text import WorkloadText
from hexplan.techniques import Phases
from hexplan.workload import DEFAULT_OBJECTIVE, Objective


class DuplexText(Text):
    """What a network card carries in each direction."""

    in_: Annotated[Bandwidth, Field(alias="in")]
    """Into the host."""
    out: Bandwidth
    """Out of the host."""


Nic = Annotated[
    Annotated[Bandwidth, Tag("<value>")] | Annotated[DuplexText, Tag("<mapping>")],
    Discriminator(mapping_or_value),
]


class InterconnectText(Text):
    """How the devices of one host reach each other, in numbers."""

    bandwidth: Bandwidth
    """Of one device, in one direction."""
    latency: Seconds
    """Start-up time of one message, and of an all-reduce of two devices."""
    exchange_latency: Seconds | None = None
    """Start-up time of an all-to-all of two devices, if it was measured; if left out, twice
    `latency`. `sp` and `shift` use it."""


class SpotText(Text):
    """An offer to rent the host at a lower price, which may be withdrawn."""

    price: Price
    """What it then costs per hour: `4.1 USD/h`."""
    availability: Fraction
    """Share of the time in which it is available: `95%`; its speed is multiplied by it."""


class HostText(Text):
    """A host, or several alike."""

    name: NameRange
    """A name, or a range of names: `a100-[0-3]` makes `a100-0` to `a100-3`."""
    site: Name
    """The datacentre or region where it stands."""
    devices: Annotated[
        Annotated[DeviceCount, Tag("<value>")]
        | Annotated[Annotated[Many[DeviceCount], Field(min_length=1)], Tag("<list>")],
        Discriminator(list_or_value),
    ]
    """`4 x L4`, or a list: `[2 x L4, 1 x T4]`."""
    interconnect: (
        Annotated[
            Annotated[LinkName, Tag("<value>")] | Annotated[InterconnectText, Tag("<mapping>")],
            Discriminator(mapping_or_value),
        ]
        | None
    ) = None
    """What joins its devices: a name, or `{bandwidth: ..., latency: ...}`; not for one device."""
    nic: Nic
    """What all links of the host carry together: `25Gbps`, or `{in: ..., out: ...}`."""
    in_use: (
        Annotated[
            Annotated[UsedBytes, Tag("<value>")]
            | Annotated[Annotated[Many[UsedBytes], Field(min_length=1)], Tag("<list>")],
            Discriminator(list_or_value),
        ]
        | None
    ) = None
    """Memory that others take: `1.2GiB` of each device, or a list with one entry per device."""
    address: AddressRange | None = None
    """Where `launch` reaches it: a range as long as that of `name`, or one address for all."""
    price: Price | None = None
    """What one such host costs per hour: `12.3 USD/h`; the cost objective needs it."""
    spot: SpotText | None = None
    """A cheaper offer: `{price: 4.1 USD/h, availability: 95%}`."""
    host_memory: Bytes | None = None
    """What such a host has for keys and values, if not what `techniques` states: `128GB`."""
    host_link: Bandwidth | None = None
    """What its link from host memory to each device carries, likewise: `25GB/s`."""


class CoordinatorText(Text):
    """Where requests enter and tokens leave."""

    site: Name
    """The site where it stands."""
    nic: Nic
    """What all its links carry together: `10Gbps`, or `{in: ..., out: ...}`."""


class LinkText(Text):
    """A link rule; its ends are sites, hosts, ranges of hosts, or `coordinator`."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"required": ["within"]},
                {"required": ["between"]},
                {"required": ["from", "to"]},
            ]
        }
    )

    within: Name | None = None
    """Between all hosts of this site."""
    between: Pair[NameRange] | None = None
    """Between these two ends, in both directions."""
    from_: Annotated[NameRange | None, Field(alias="from")] = None
    """From this end, one way."""
    to: NameRange | None = None
    """To this end, one way."""
    bandwidth: Bandwidth
    """What each pair of hosts may carry in one direction."""
    latency: Seconds
    """One-way latency."""
    trunk: Bandwidth | None = None
    """What all pairs may carry together in one direction, if they share a line."""
    allow: Allowed = "all"
    """What may pass: `all`, `tokens` (to and from the coordinator; no activations), or `none`."""
    compress: Compression = "none"
    """`int8` sends activations in about 8 bits a number, with a small error; by default none."""

    @model_validator(mode="after")
    def _one_form(self) -> LinkText:
        is_one_way = self.from_ is not None and self.to is not None
        is_half = (self.from_ is None) != (self.to is None)
        if is_half or (self.within is not None) + (self.between is not None) + is_one_way != 1:
            message = "needed the ends of the link: `within`, or `between`, or `from` and `to`"
            raise ValueError(message)
        return self


class PinText(Text):
    """A pin or an exclusion of hosts or devices."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"required": ["host", "layers"]},
                {"required": ["exclude"]},
                {"required": ["same_stage"]},
            ]
        }
    )

    host: NameRange | None = None
    """A host, or a range of hosts, that must hold exactly `layers` in each of its stages."""
    layers: Pair[Annotated[int, Field(ge=0)]] | None = None
    """`[first, end]`, where `end` is the first layer that it does not hold."""
    exclude: Exclusion | None = None
    """A host, a range of hosts, or a device (`host/0`) that must stay unused."""
    same_stage: Annotated[Many[DeviceSlot], Field(min_length=2)] | None = None
    """Devices of one host that must form one stage: `[host/0, host/1]`."""

    @model_validator(mode="after")
    def _one_form(self) -> PinText:
        is_layers = self.host is not None and self.layers is not None
        is_half = (self.host is None) != (self.layers is None)
        if is_half or is_layers + (self.exclude is not None) + (self.same_stage is not None) != 1:
            message = "needed one of `{host, layers}`, `{exclude}` and `{same_stage}`"
            raise ValueError(message)
        return self


class LimitsText(Text):
    """What a plan may use."""

    time: Annotated[Seconds, Field(gt=0)] = Decimal(30)
    """Wall-clock limit, from the start of the command until the plan is written."""
    memory_fraction: Fraction = Decimal("0.9")
    """Share of each device's memory that the plan may fill."""
    chunk_tokens: Annotated[int, Field(ge=16, le=10**6)] = 512
    """The most prompt tokens that a stage runs at once; longer prompts are split."""
    parallel: Annotated[Many[Parallel], Field(min_length=1)] = ("tp",)
    """How the devices of a stage may share its work: `tp`, `sp` and `shift`; `launch` runs all."""
    step_overhead: Annotated[Seconds, Field(lt=60)] = STEP_OVERHEAD_S
    """What each step of a stage takes besides its layers; measured times include theirs."""
    token_overhead: Annotated[Seconds, Field(lt=60)] = TOKEN_OVERHEAD_S
    """What the last stage takes for each output token besides its head; so do measured times."""
    policy: Scheduling = "chunked"
    """The scheduler to plan for, where a rate is sustained; `launch` runs `chunked`."""
    engine: EngineName = "hexplan"
    """What will run the plan, which keeps to what that engine runs."""
    phases: Phases = "any"
    """`any` lets `slo` split prefill and decode by stages; `launch` runs plans of `together`."""
    latency_factor: Annotated[Factor, Field(ge=1)] = Decimal(2)
    """How many times the latencies of the shallowest plan the objective balanced allows."""
    hop_overhead: Annotated[Seconds, Field(lt=60)] | None = None
    """What a message between stages takes besides its link: 0.2ms, or nothing with measurements."""
    join: (
        Annotated[
            Annotated[Literal["any"], Tag("<value>")]
            | Annotated[Many[Annotated[Many[NameRange], Field(min_length=1)]], Tag("<list>")],
            Discriminator(list_or_value),
        ]
        | None
    ) = None
    """Sets of hosts of one site that may work as one stage: `[[a, b], ["c-[0-3]"]]`, or `any`."""


class ClusterText(Text):
    """A cluster.yaml: hosts with devices, the links between them, and the model to run."""

    version: Literal[1]
    """Version of this format."""
    name: Label
    """What you call the cluster."""
    model: Annotated[
        Annotated[Label, Tag("<value>")]
        | Annotated[NamedModel, Tag("<named>")]
        | Annotated[FolderModel, Tag("<folder>")]
        | Annotated[
            Model,
            BeforeValidator(with_known_format, json_schema_input_type=Numbers),
            Tag("<numbers>"),
        ],
        Discriminator(model_form),
    ]
    """A name from the catalog, a folder with a config.json, or the numbers."""
    workload: WorkloadText
    """What the cluster is planned for."""
    objective: Objective = DEFAULT_OBJECTIVE
    """What the plan is made for (docs/formulation.md 9)."""
    hosts: Annotated[Many[HostText], Field(min_length=1)]
    """The machines with devices."""
    coordinator: CoordinatorText
    """Where requests enter and tokens leave."""
    links: Many[LinkText] = ()
    """Link rules; pairs of hosts that no rule names are not connected."""
    trusted: Many[Name] = ()
    """Sites with networks of their own, inside of which hosts need not encrypt: `[lab]`."""
    profiles: Label | None = None
    """A file with measured speeds; the path is relative to this file."""
    overlays: Many[Label] = ()
    """Files whose measured figures replace this file's; paths are relative to this file."""
    devices: dict[DeviceName, DeviceText] = {}
    """Device types: overrides of the catalog, and new ones."""
    pin: Many[PinText] = ()
    """What must sit where, and what must stay unused."""
    limits: LimitsText = LimitsText()
    """What a plan may use."""
    techniques: TechniquesText = TechniquesText()
    """Published techniques that a launch is to use."""
