"""Judge the cost model on measurements that its constants were not fitted to.

    python benchmarks/prediction.py [--write]

The constants of measured/left_out.json (by benchmarks/efficiencies.py) predict the model or the
chip that they were fitted without. `--write` puts the constants that were fitted to everything,
with the bands found here, into hexplan/catalog/data. docs/prediction.md has such an output.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
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
from planner import machine, row

from hexplan.catalog.efficiencies import Chip, find_efficiency
from hexplan.catalog.interconnects import interconnect_of
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


def show(found: Sequence[Judged], fields: Mapping[str, int], degree: int | None = None) -> None:
    """Print bias, mean, worst and the share inside the band, by some fields of the kind.

    Parameters
    ----------
    degree
        Which field of the kind is the degree; then the mean at each degree is printed, too.
    """
    degrees = sorted({one.kind[degree] for one in found}) if degree is not None else []
    heads = [*fields, "points", *(f"TP {n}" for n in degrees)]
    heads += ["bias", "mean", "9 in 10", "worst", "band", "inside"]
    print(row(heads), row(["---"] * len(heads)), sep="\n")
    groups: dict[tuple[str, ...], list[Judged]] = {}
    for one in found:
        groups.setdefault(tuple(one.kind[index] for index in fields.values()), []).append(one)
    for key, group in sorted(groups.items()):
        cells = [*key, str(len(group))]
        for n in degrees:
            of_degree = [abs(one.error) for one in group if one.kind[degree or 0] == n]
            cells.append(f"{np.mean(of_degree):.0%}" if of_degree else "")
        print(row([*cells, *_summary(group)]))
    print()


def _summary(group: Sequence[Judged]) -> list[str]:
    errors = np.array([one.error for one in group])
    bands = np.array([one.band for one in group])
    sizes = np.abs(errors)
    told = [f"{errors.mean():+.0%}", f"{sizes.mean():.0%}"]
    told += [f"{np.quantile(sizes, 0.9):.0%}", f"{sizes.max():.0%}"]
    if not bands.any():
        return [*told, "", ""]
    stated = sorted({f"{bands.min():.0%}", f"{bands.max():.0%}"}, key=lambda text: float(text[:-1]))
    return [*told, " to ".join(stated), f"{(sizes <= bands).mean():.0%}"]


def main() -> None:
    """Judge and print, and write if asked."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="update the catalog")
    if parser.parse_args().write:
        from catalog_bands import write

        write()
    print(f"{date.today()}, {machine()}\n")  # noqa: DTZ011
    by = {"device": 0, "weights": 1, "phase": 2}
    print("Layers of a model left out\n")
    show(list(judged_layers(interconnect_of)), by, degree=3)
    print("Experts of a model left out\n")
    show(list(judged_experts()), by, degree=3)
    print("Layers and experts of a chip left out\n")
    left_out = [*judged_layers(interconnect_of, OTHER), *judged_experts(OTHER)]
    show([one for one in left_out if one.kind[3] == "1"], by)
    print("Seconds between two tokens of requests, measured end to end\n")
    found = list(judged_requests(interconnect_of))
    show(found, {"device": 0, "model": 1, "weights": 2, "engine": 3}, degree=4)
    show(found, {"TP": 4})


if __name__ == "__main__":
    main()
