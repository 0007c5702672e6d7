"""The points of measured/kernels.json.gz: layers, experts, all-reduces and requests."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from hexplan.catalog.shipped import find_device, find_model
from hexplan.cost.stage_shape import DeviceShard
from hexplan.cost.weights import ShardSizes
from hexplan.device import DeviceType
from hexplan.model import Model, WeightFormat

FILE = Path(__file__).parent / "measured/kernels.json.gz"
HELIX = Path(__file__).parent / "measured/helix_layers.json"
HELIX_DEVICES = {"A100": "A100-40GB-SXM", "V100": "V100-SXM2-16GB", "L4": "L4", "T4": "T4"}
"""What the artifact of Helix calls a device, and what the catalog does."""
HELIX_CONTEXT = 870
"""Tokens of context of its decodes: 750 + 240 / 2. The artifact does not state it; the slope of its
times over the batch, on the model without grouped heads, fits 870 to 1000."""
FP8 = WeightFormat(name="fp8", block_rows=1, scale_bits=32)
"""One scale for each output channel, as the kernels of the wheel have."""
Dtype = Literal["bfloat16", "fp8"]
Phase = Literal["prefill", "decode"]
PHASES: Sequence[Phase] = ("prefill", "decode")


@dataclass(frozen=True)
class Layer:
    """One layer of a model on a group of devices, put together from measured kernels."""

    device: str
    dtype: Dtype
    model: str
    n: int
    phase: Phase
    tokens: int
    """Of a prompt, or decoded at once."""
    context: int
    """Tokens that each of them attends to."""
    matrices_s: float
    attention_s: float
    reduce_s: float

    @property
    def alone_s(self) -> float:
        """What the devices take without talking to each other."""
        return self.matrices_s + self.attention_s

    @property
    def seconds(self) -> float:
        """What the layer takes."""
        return self.alone_s + self.reduce_s

    @property
    def reach(self) -> float:
        """Positions that the tokens of a prompt attend to, in all."""
        return self.tokens**2 / 2 if self.phase == "prefill" else 0.0

    @property
    def contexts(self) -> float:
        """Positions that decodes attend to, in all."""
        return self.tokens * self.context if self.phase == "decode" else 0.0


@dataclass(frozen=True)
class ExpertLayer:
    """The experts of one layer."""

    device: str
    dtype: Dtype
    model: str
    n: int
    tokens: int
    seconds: float


@dataclass(frozen=True)
class Reduce:
    """One all-reduce."""

    device: str
    n: int
    bytes: int
    seconds: float


@dataclass(frozen=True)
class Requests:
    """Requests of one kind, measured end to end on a serving engine."""

    device: str
    dtype: Dtype
    model: str
    engine: str
    n: int
    prompt: int
    output: int
    at_once: int
    ttft_s: float
    tpot_s: float


@cache
def _rows() -> dict[str, list[list[Any]]]:
    found: dict[str, list[list[Any]]] = json.loads(gzip.decompress(FILE.read_bytes()))
    return found


@cache
def layers() -> tuple[Layer, ...]:
    """Return all layers."""
    return tuple(Layer(*row) for row in _rows()["layers"])


@cache
def expert_layers() -> tuple[ExpertLayer, ...]:
    """Return the experts of all layers."""
    return tuple(ExpertLayer(*row) for row in _rows()["experts"])


@cache
def reduces() -> tuple[Reduce, ...]:
    """Return all all-reduces."""
    return tuple(Reduce(*row) for row in _rows()["reduces"])


@cache
def requests() -> tuple[Requests, ...]:
    """Return all requests."""
    return tuple(Requests(*row) for row in _rows()["requests"])


@cache
def helix_layers() -> tuple[Layer, ...]:
    """Return the layers that the artifact of Helix measured as a whole, on one device.

    Prompts of fewer than 500 tokens took a millisecond or two, close to the rounding of the times.
    """
    found = []
    for model, machines in json.loads(HELIX.read_text()).items():
        for kind, name in HELIX_DEVICES.items():
            for phase in PHASES:
                for tokens, seconds in machines[kind][f"{phase}_layer_s"]:
                    if 500 <= tokens <= 4000 if phase == "prefill" else 1 <= tokens <= 256:
                        context = tokens if phase == "prefill" else HELIX_CONTEXT
                        row = (model, 1, phase, tokens, context, seconds, 0.0, 0.0)
                        found.append(Layer(name, "bfloat16", *row))
    return tuple(found)


def device(name: str) -> DeviceType:
    """Return a device of the catalog."""
    found = find_device(name)
    assert found is not None
    return found


@cache
def model_of(name: str, dtype: Dtype) -> Model:
    """Return a model of the catalog, with its weights in a type."""
    found = find_model(name)
    assert found is not None
    return found.model_copy(update={"weights": FP8}) if dtype == "fp8" else found


def group_of(model: Model, kind: DeviceType, n: int) -> list[DeviceShard]:
    """Return n devices that share a model evenly."""
    sizes = ShardSizes(-(-model.kv_heads // n), model.ffn // n, model.vocab // n)
    return [DeviceShard(kind, sizes)] * n
