"""What constants predict for the models, chips and requests that they were fitted without."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from kernels import (
    ExpertLayer,
    Layer,
    Requests,
    device,
    expert_layers,
    group_of,
    helix_layers,
    layers,
    model_of,
    requests,
)

from hexplan.catalog.efficiencies import Chip, find_efficiency
from hexplan.constants import STEP_OVERHEAD_S, TOKEN_OVERHEAD_S
from hexplan.cost.roofline import Roofline, shard_times
from hexplan.cost.weights import read_share
from hexplan.device import Efficiency
from hexplan.host import Interconnect
from hexplan.model import Model

FOLDS = Path(__file__).parent / "measured/left_out.json"
OTHER = "any other"
LINKS: Mapping[str, str] = {
    "A100-80GB-SXM": "nvlink3",
    "H100-SXM": "nvlink4",
    "H200-SXM": "nvlink4",
    "B200-SXM": "nvlink5",
    "B300-SXM": "nvlink5",
    "GB200": "nvlink5",
    "L40S": "pcie4",
    "RTX-PRO-6000-BSE": "pcie5",
}
"""What joined the devices of each type."""
MEMORY_SHARE = 0.9
"""Of its memory, what an engine fills."""


@dataclass(frozen=True)
class Judged:
    """A prediction of something that was measured."""

    kind: tuple[str, ...]
    """Device, type, phase and degree."""
    error: float
    """Predicted over measured seconds, less 1."""
    band: float
    """What the catalog states."""


@cache
def folds() -> dict[str, dict[str, Efficiency]]:
    """Return the efficiencies of each chip, by what they were fitted without."""
    text: dict[str, dict[str, Any]] = json.loads(FOLDS.read_text())
    return {
        chip: {name: Efficiency.model_validate_json(json.dumps(fit)) for name, fit in fits.items()}
        for chip, fits in text.items()
    }


def seconds_of(point: Layer, efficiency: Efficiency, link: Interconnect) -> float:
    """Return the predicted seconds of a layer."""
    model = model_of(point.model, point.dtype)
    kind = device(point.device).model_copy(update={"efficiency": efficiency})
    roofline = Roofline(model, group_of(model, kind, point.n), link)
    if point.phase == "prefill":
        return roofline.layer_s(point.tokens, point.reach, 0, 0.0)
    return roofline.layer_s(0, 0.0, point.tokens, point.contexts)


def expert_seconds_of(point: ExpertLayer, efficiency: Efficiency) -> float:
    """Return the predicted seconds of the experts of a layer."""
    model = model_of(point.model, point.dtype)
    kind = device(point.device).model_copy(update={"efficiency": efficiency})
    times = shard_times(model, kind, group_of(model, kind, point.n)[0].sizes).experts
    assert times is not None
    return times.seconds(point.tokens, read_share(model, point.tokens), 1)


def judged_layers(link_of: Callable[[str], Interconnect], chip: str = "") -> Iterator[Judged]:
    """Judge every layer by what was fitted without its model, or without its chip if told.

    The band of a chip left out is that of `other` in the catalog.
    """
    for point in (*layers(), *helix_layers()):
        if chip == OTHER:
            efficiency = folds()[OTHER][point.device]
        elif point.device in folds():
            efficiency = folds()[point.device][point.model]
        else:
            continue
        link = link_of(LINKS.get(point.device, "pcie4"))
        error = seconds_of(point, efficiency, link) / point.seconds - 1
        kind = (point.device, point.dtype, point.phase, str(point.n))
        stated = _other() if chip == OTHER else device(point.device).efficiency
        yield Judged(kind, error, band_of(point, stated, link))


def _other() -> Efficiency:
    """Return what the catalog says of chips of architectures that nobody measured."""
    return find_efficiency(Chip("none", Decimal(1), Decimal(1)))


def judged_experts(chip: str = "") -> Iterator[Judged]:
    """Judge the experts of every layer likewise."""
    for point in expert_layers():
        fits = folds()[OTHER if chip == OTHER else point.device]
        efficiency = fits[point.device if chip == OTHER else point.model]
        error = expert_seconds_of(point, efficiency) / point.seconds - 1
        stated = _other() if chip == OTHER else device(point.device).efficiency
        found = stated.fp8_experts if point.dtype == "fp8" else stated.experts
        band = float(found.error) if found else 0.5
        yield Judged((point.device, point.dtype, "experts", str(point.n)), error, band)


def band_of(point: Layer, efficiency: Efficiency, link: Interconnect) -> float:
    """Return the band that a plan would state."""
    kind = (efficiency.fp8 or efficiency) if point.dtype == "fp8" else efficiency
    return float(max(kind.error, link.error) if point.n > 1 else kind.error)


def tpot_s(asked: Requests, efficiency: Efficiency, link: Interconnect) -> float | None:
    """Return the predicted seconds between two tokens; None if the requests do not fit at once.

    While one request decodes, each of the others brings one prompt.
    """
    model = model_of(asked.model, asked.dtype)
    kind = device(asked.device).model_copy(update={"efficiency": efficiency})
    if _bytes_at_once(asked, model) > MEMORY_SHARE * kind.memory_bytes * asked.n:
        return None
    roofline = Roofline(model, group_of(model, kind, asked.n), link)
    contexts = asked.at_once * (asked.prompt + asked.output / 2)
    decode_s = model.layers * roofline.layer_s(0, 0.0, asked.at_once, contexts)
    decode_s += roofline.head_s(asked.at_once) + asked.at_once * float(TOKEN_OVERHEAD_S)
    decode_s += float(STEP_OVERHEAD_S)
    prompt_s = model.layers * roofline.layer_s(asked.prompt, asked.prompt**2 / 2, 0, 0.0)
    return decode_s + (asked.at_once - 1) / asked.output * prompt_s


def _bytes_at_once(asked: Requests, model: Model) -> float:
    bytes_a_weight = 1 if asked.dtype == "fp8" else 2
    widths = 2 * model.hidden * (model.heads + model.kv_heads) * model.head_dim
    networks = model.experts.total if model.experts else 1
    weights = widths + networks * 3 * model.hidden * model.ffn
    kv = 2 * model.kv_heads * model.head_dim * 2 * asked.at_once * (asked.prompt + asked.output)
    return model.layers * (bytes_a_weight * weights + kv) + 4 * model.vocab * model.hidden


def judged_requests(link_of: Callable[[str], Interconnect]) -> Iterator[Judged]:
    """Judge the seconds between two tokens of every kind of request that fits at once."""
    for asked in requests():
        fits = folds()[asked.device]
        link = link_of(LINKS[asked.device])
        predicted_s = tpot_s(asked, fits.get(asked.model, fits[""]), link)
        if predicted_s is not None:
            kind = (asked.device, asked.model, asked.dtype, asked.engine, str(asked.n))
            yield Judged(kind, predicted_s / asked.tpot_s - 1, 0.0)
