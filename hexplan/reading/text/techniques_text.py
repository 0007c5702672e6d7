"""The text of `techniques`: which published techniques a launch is to use."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from hexplan.reading.text.base import Text
from hexplan.reading.text.fields import Bandwidth, Bytes, Factor, Fraction
from hexplan.techniques import (
    HOST_LINK_BYTES_PER_S,
    KV_FRACTION,
    QueueChoice,
    Switch,
    Techniques,
)


def _switch(value: object) -> object:
    """Return `on` and `off` where YAML has read them as true and false."""
    return ("on" if value else "off") if isinstance(value, bool) else value


TechniqueSwitch = Annotated[Switch, BeforeValidator(_switch, json_schema_input_type=Switch | bool)]


class TechniquesText(Text):
    """Published techniques that a launch is to use."""

    queue: QueueChoice = "fcfs"
    """Which requests run next where not all of them can: `fcfs`, `mlfq`, `fair`, `srpt`, or `auto`:
    `mlfq` if simulations show a gain."""
    shift: TechniqueSwitch = "off"
    """Whether stages may shift between tp and sp, as `limits.parallel` lets them: `off`, `on`, or
    only where simulations show a gain (`auto`)."""
    interleave: TechniqueSwitch = "off"
    """Whether tensor-parallel stages compute one half of a large step while they sum up the other:
    `off`, `on`, or only where simulations show a gain (`auto`)."""
    slowdown: Annotated[Factor, Field(ge=1, le=10)] | None = None
    """How many times as long computing and summing up take while both go on; if left out, what the
    profile of a group of devices says, or else 1.15."""

    kv_offload: TechniqueSwitch = "off"
    """Whether stages keep keys and values of most layers in host memory, and fetch ahead what
    matters of them: `off`, `on` where more requests then run at once and more tokens come out, or
    only where simulations show a gain besides (`auto`)."""
    kv_fraction: Fraction = KV_FRACTION
    """Share of a request's keys and values that a decode fetches; all at 1."""
    host_memory: Bytes | None = None
    """What a host has for keys and values if it states no figure of its own; `kv_offload` needs
    one."""
    host_link: Bandwidth | None = None
    """What a link from host memory to a device carries, of hosts that do not state their own; if
    left out, what the profile measured, or else 25GB/s."""

    def techniques(self) -> Techniques:
        """Return what is asked for."""
        return Techniques(
            queue=self.queue,
            shift=self.shift,
            interleave=self.interleave,
            slowdown=self.slowdown,
            kv_offload=self.kv_offload,
            kv_fraction=self.kv_fraction,
            host_memory_bytes=self.host_memory,
            host_link_bytes_per_s=self.host_link or HOST_LINK_BYTES_PER_S,
        )
