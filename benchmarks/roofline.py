"""Print how close the roofline comes to measured layers, with the efficiencies that fit best.

    python benchmarks/roofline.py

The layers are those of measured/helix_layers.json: two models on seven kinds of machines. Each
architecture's pair of efficiencies is fitted to one model and judged on the other, and the other
way round; all four together stand for architectures that were not measured, judged by leaving
each out in turn. The catalog has the pairs of V100, L4 and T4 (benchmarks/catalog_bands.py).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from statistics import fmean

import numpy as np
from numpy.typing import NDArray
from planner import machine, row
from scipy.optimize import minimize

from hexplan.catalog.shipped import find_device, find_model
from hexplan.cost.roofline import Roofline
from hexplan.cost.stage_shape import DeviceShard
from hexplan.cost.weights import ShardSizes
from hexplan.device import DeviceType, Efficiency
from hexplan.host import Interconnect

ROOT = Path(__file__).parents[1]
LAYERS = json.loads((ROOT / "benchmarks/measured/helix_layers.json").read_text())
MODELS = tuple(LAYERS)
DEVICES = {"A100": "A100-40GB-SXM", "V100": "V100-SXM2-16GB", "L4": "L4", "T4": "T4"}
"""What the artifact calls a device, and what the catalog does."""
GROUPS = {"L4x2": ("L4", 2), "T4x2": ("T4", 2), "T4x4": ("T4", 4)}
SLOTS = {"PCIe 3": ("T4x2", "T4x4"), "PCIe 4": ("L4x2",)}
PROMPTS, BATCHES = (500, 4000), (1, 256)
"""Tokens of the points that count: shorter prompts took a millisecond or two, close to the rounding
of the times, and hexplan forms no larger batches."""
CONTEXT = 870
"""Tokens of context of a decode: 750 + 240 / 2. The artifact does not state it; the slope of its
times over the batch, on the model without grouped heads, fits 870 to 1000."""
Pair = tuple[float, float]
Errors = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Of prefill and of decode, as logarithms of predicted over measured seconds."""
Cell = tuple[str, str, Pair, tuple[str, int]]
"""Model, kind of machine, efficiencies, and the group that the machine is."""
STARTS: Sequence[Pair] = ((0.5, 0.7), (0.8, 0.8), (0.4, 0.9))


@dataclass(frozen=True)
class Fit:
    """The pair of one architecture, and its errors on what it was not fitted to."""

    arch: str
    devices: tuple[str, ...]
    pair: Pair
    prefill: NDArray[np.float64]
    decode: NDArray[np.float64]

    @property
    def band(self) -> float:
        """The error that nine in ten points stay below, in the worse phase."""
        return max(float(np.quantile(errors, 0.9)) for errors in (self.prefill, self.decode))


def device(name: str) -> DeviceType:
    """Return the catalog's device for one of the artifact's."""
    found = find_device(DEVICES[name])
    assert found is not None
    return found


def errors_of(
    model_name: str,
    kind: str,
    pair: Pair,
    group: tuple[str, int] | None = None,
    link: Interconnect | None = None,
) -> Errors:
    """Compare the roofline with the measured times of one kind of machine."""
    model = find_model(model_name)
    assert model is not None
    name, n = group or (kind, 1)
    compute, bandwidth = (Decimal(repr(min(1.0, share))) for share in pair)
    efficiency = Efficiency(compute=compute, bandwidth=bandwidth)
    kinds = device(name).model_copy(update={"efficiency": efficiency})
    sizes = ShardSizes(-(-model.kv_heads // n), model.ffn // n, model.vocab // n)
    roofline = Roofline(model, [DeviceShard(kinds, sizes)] * n, link)
    tables = LAYERS[model_name][kind]
    prefill = [
        np.log(roofline.layer_s(tokens, tokens * tokens / 2, 0, 0.0) / seconds)
        for tokens, seconds in tables["prefill_layer_s"]
        if PROMPTS[0] <= tokens <= PROMPTS[1]
    ]
    decode = [
        np.log(roofline.layer_s(0, 0.0, tokens, tokens * CONTEXT) / seconds)
        for tokens, seconds in tables["decode_layer_s"]
        if BATCHES[0] <= tokens <= BATCHES[1]
    ]
    return np.array(prefill), np.array(decode)


def fit(cells: Sequence[tuple[str, str]]) -> Pair:
    """Return the pair of least mean squared error over (model, device), both phases alike."""

    def loss(logarithms: NDArray[np.float64]) -> float:
        compute, bandwidth = np.exp(logarithms)
        if max(compute, bandwidth) > 1:
            return 1e3
        pair = float(compute), float(bandwidth)
        found = [errors_of(*cell, pair) for cell in cells]
        return fmean(float(np.square(part).mean()) for errors in found for part in errors)

    runs = [minimize(loss, np.log(start), method="Nelder-Mead") for start in STARTS]
    compute, bandwidth = np.exp(min(runs, key=lambda run: run.fun).x)
    return round(float(compute), 2), round(float(bandwidth), 2)


def relative(logarithms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far predicted seconds are from measured ones, as shares of the latter."""
    return np.abs(np.exp(logarithms) - 1)


def judged(folds: Sequence[tuple[Pair, str, str]]) -> Errors:
    """Return the errors of pairs on the (model, device) that they were not fitted to."""
    found = [errors_of(model, kind, pair) for pair, model, kind in folds]
    prefill, decode = (relative(np.concatenate([e[phase] for e in found])) for phase in (0, 1))
    return prefill, decode


def by_architecture() -> list[Fit]:
    """Fit each architecture, and judge it on the model left out."""
    fits = []
    for kind in DEVICES:
        folds = [
            (fit([(other, kind) for other in MODELS if other != model]), model, kind)
            for model in MODELS
        ]
        pair = fit([(model, kind) for model in MODELS])
        arch = device(kind).arch or ""
        fits.append(Fit(arch, (DEVICES[kind],), pair, *judged(folds)))
    return fits


def over_all() -> Fit:
    """Fit all architectures together, and judge each by the others."""
    folds = []
    for left_out in DEVICES:
        pair = fit([(model, kind) for model in MODELS for kind in DEVICES if kind != left_out])
        folds += [(pair, model, left_out) for model in MODELS]
    pair = fit([(model, kind) for model in MODELS for kind in DEVICES])
    return Fit("any other", tuple(DEVICES.values()), pair, *judged(folds))


def show_fits(fits: Sequence[Fit]) -> None:
    """Print the pairs and their errors on what was left out."""
    heads = [
        "architecture",
        "measured",
        "eta_compute",
        "eta_memory",
        "prefill error",
        "decode error",
        "band",
    ]
    print(row(heads), row(["---"] * len(heads)), sep="\n")
    for found in fits:
        told = [f"{part.mean():.0%}, {part.max():.0%}" for part in (found.prefill, found.decode)]
        pair = [f"{share:.2f}" for share in found.pair]
        print(row([found.arch, ", ".join(found.devices), *pair, *told, f"{found.band:.0%}"]))


def show_assumed() -> None:
    """Print the errors of one assumed pair, for comparison."""
    heads = ["device", *(f"{m}, {phase}" for m in MODELS for phase in ("prefill", "decode"))]
    print(row(heads), row(["---"] * len(heads)), sep="\n")
    for kind in DEVICES:
        cells = [DEVICES[kind]]
        for model in MODELS:
            cells += [f"{relative(e).mean():.0%}" for e in errors_of(model, kind, (0.5, 0.7))]
        print(row(cells))


def show_groups(fits: Sequence[Fit]) -> None:
    """Print tensor-parallel groups over PCIe, with the link that fits each slot's groups best."""
    pairs = {found.devices[0]: found.pair for found in fits}
    heads = ["slot", "groups", "B", "alpha", "prefill error", "decode error"]
    print(row(heads), row(["---"] * len(heads)), sep="\n")
    for slot, kinds in SLOTS.items():
        cells = [(m, k, pairs[DEVICES[GROUPS[k][0]]], GROUPS[k]) for k in kinds for m in MODELS]

        def loss(link: tuple[float, float], cells: Sequence[Cell] = tuple(cells)) -> float:
            found = [errors_of(*cell, interconnect(*link)) for cell in cells]
            return fmean(float(np.square(part).mean()) for errors in found for part in errors)

        links = [(b, a) for b in np.geomspace(1e9, 32e9, 31) for a in np.geomspace(5e-6, 2e-4, 17)]
        bandwidth, latency = min(links, key=loss)
        link = interconnect(bandwidth, latency)
        found = [errors_of(*cell, link) for cell in cells]
        told = [f"{relative(np.concatenate([e[p] for e in found])).mean():.0%}" for p in (0, 1)]
        figures = [f"{bandwidth / 1e9:.1f} GB/s", f"{latency * 1e6:.0f} us"]
        print(row([slot, ", ".join(kinds), *figures, *told]))


def interconnect(bandwidth: float, latency: float) -> Interconnect:
    """Return a link of so many bytes/s and seconds."""
    return Interconnect(
        bandwidth_bytes_per_s=int(bandwidth), latency_s=Decimal(repr(float(latency)))
    )


def main() -> None:
    """Fit, judge and print."""
    print(f"{date.today()}, {machine()}\n")  # noqa: DTZ011
    fits = [*by_architecture(), over_all()]
    show_fits(fits)
    print("\nWith 0.5 and 0.7 for all:\n")
    show_assumed()
    print()
    show_groups(fits)


if __name__ == "__main__":
    main()
