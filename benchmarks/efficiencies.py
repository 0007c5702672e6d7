"""Fit the catalog's efficiencies and interconnects to measured kernels, and write both.

    python benchmarks/efficiencies.py

Each chip is fitted to all models, and to all but one in turn. `any other` is fitted to all chips,
and to all but one in turn. The bands are what nine in ten points that a fit did not see stay below.
benchmarks/prediction.py judges what this writes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import numpy as np
from kernels import (
    Dtype,
    ExpertLayer,
    Layer,
    device,
    expert_layers,
    group_of,
    helix_layers,
    layers,
    model_of,
    reduces,
)
from numpy.typing import NDArray
from scipy.optimize import minimize

from hexplan.cost.roofline import shard_times
from hexplan.cost.weights import read_share
from hexplan.device import Efficiency, KernelEfficiency

ROOT = Path(__file__).parents[1]
CATALOG = ROOT / "hexplan/catalog/data"
FOLDS = ROOT / "benchmarks/measured/left_out.json"
"""What was fitted without each model, and without each chip: benchmarks/prediction.py judges it."""
OTHER = "any other"
Array = NDArray[np.float64]
ONE = Decimal(1)
UNIT = Efficiency(compute=ONE, bandwidth=ONE, attention=ONE, error=Decimal(0))
"""Peak figures, so that shares of them can be fitted."""
DENSE_STARTS = ((0.7, 0.8, 0.2, 2e-5), (0.45, 0.8, 0.3, 4e-5))
ATTENTION_STARTS = ((0.45, 1.4e-5), (0.3, 1.2e-5))
EXPERT_STARTS = ((0.5, 0.8, 2e-5), (0.35, 0.8, 4e-5))


@dataclass(frozen=True)
class Features:
    """Seconds of each layer at the peak figures, and as measured."""

    work: Array
    read: Array
    attention_work: Array
    attention_read: Array
    steps: Array
    weight: Array
    measured: Array
    attention: Array
    """Measured, or 0 where it is not known by itself."""

    def predicted(self, dense: Array, attention: Array) -> tuple[Array, Array]:
        """Return the seconds of matrices and of attention."""
        compute, bandwidth, exposed, start = dense
        work, read = self.work / compute, self.read / bandwidth
        matrices = np.maximum(work, read) + exposed * np.minimum(work, read) + start
        share, floor, kv_bandwidth = attention
        attended = np.maximum(self.attention_work / share, self.attention_read / kv_bandwidth)
        return matrices, np.maximum(floor, attended)


def features(points: Sequence[Layer]) -> Features:
    """Return the features of some layers; every chip, phase and type counts alike."""
    rows = []
    for point in points:
        model = model_of(point.model, point.dtype)
        kind = device(point.device).model_copy(update={"efficiency": UNIT})
        times = shard_times(model, kind, group_of(model, kind, point.n)[0].sizes)
        positions = point.reach + point.contexts
        rows.append(
            (
                point.tokens * times.dense.token_s,
                times.dense.read_s,
                positions * times.reach_s,
                point.contexts * times.kv_s,
                1.0,
                point.alone_s,
                point.attention_s,
            )
        )
    work, read, attention, kv, steps, measured, attended = np.array(rows).T
    kinds = [(p.device, p.phase) for p in points]
    counts = {kind: kinds.count(kind) for kind in set(kinds)}
    weight = np.array([1 / counts[kind] for kind in kinds]) / len(counts)
    return Features(work, read, attention, kv, steps, weight, measured, attended)


def fit_dense(points: Sequence[Layer], known: Efficiency | None = None) -> Efficiency:
    """Return the efficiency that fits layers best; with a known one, that keeps its attention."""
    seen = features(points)
    fixed = None
    if known is not None:
        assert known.attention is not None
        fixed = np.array(
            [float(x) for x in (known.attention, known.attention_start_s, known.bandwidth)]
        )

    def loss(logarithms: Array) -> float:
        values = np.exp(logarithms)
        if values[:3].max() > 1 or (fixed is None and values[4] > 1):
            return 1e3
        attention = np.append(values[4:], values[1]) if fixed is None else fixed
        matrices, attended = seen.predicted(values[:4], attention)
        errors = np.abs(np.log((matrices + attended) / seen.measured)) ** 1.5
        part = np.where(seen.attention > 0, seen.attention, attended)
        # A little weight on attention by itself keeps the two parts apart.
        return float((seen.weight * (errors + 0.05 * np.abs(np.log(attended / part)))).sum())

    starts = [
        dense + attention if known is None else dense
        for dense, attention in zip(DENSE_STARTS, ATTENTION_STARTS, strict=True)
    ]
    values = _least(loss, starts)
    found = Efficiency(**_kernel(values[:4]).model_dump(), attention=ONE)
    if known is not None:
        return found
    return found.model_copy(
        update={"attention": _round(values[4]), "attention_start_s": _round(values[5], 7)}
    )


def fit_experts(points: Sequence[ExpertLayer]) -> KernelEfficiency:
    """Return the efficiency that fits the experts of layers best: work and reading add up."""
    work, read, measured = np.array([_expert_features(point) for point in points]).T

    def loss(logarithms: Array) -> float:
        compute, bandwidth, start = np.exp(logarithms)
        if max(compute, bandwidth) > 1:
            return 1e3
        predicted = work / compute + read / bandwidth + start
        return float((np.abs(np.log(predicted / measured)) ** 1.5).mean())

    compute, bandwidth, start = _least(loss, EXPERT_STARTS)
    return _kernel((compute, bandwidth, 1.0, start))


def _expert_features(point: ExpertLayer) -> tuple[float, float, float]:
    model = model_of(point.model, point.dtype)
    kind = device(point.device).model_copy(update={"efficiency": UNIT})
    times = shard_times(model, kind, group_of(model, kind, point.n)[0].sizes).experts
    assert times is not None
    touched = read_share(model, point.tokens)
    return point.tokens * times.token_s, touched * times.read_s, point.seconds


def _least(loss: Callable[[Array], float], starts: Sequence[Sequence[float]]) -> Array:
    runs = [
        minimize(
            loss,
            np.log(np.array(start, dtype=np.float64)),
            method="Nelder-Mead",
            options={"maxiter": 4000, "maxfev": 4000, "fatol": 1e-6},
        )
        for start in starts
    ]
    found: Array = np.exp(min(runs, key=lambda run: run.fun).x)
    return found


def _kernel(values: Sequence[float] | Array) -> KernelEfficiency:
    compute, bandwidth, exposed, start = values
    return KernelEfficiency(
        compute=_round(compute),
        bandwidth=_round(bandwidth),
        exposed=_round(exposed),
        start_s=_round(start, 7),
    )


def _round(value: float, digits: int = 3) -> Decimal:
    return Decimal(repr(round(float(value), digits)))


def fit_chip(
    dense: Sequence[Layer], experts: Sequence[ExpertLayer], without: str | None = None
) -> Efficiency:
    """Return the efficiency of one chip, or of several, fitted without one model or chip."""
    dense = [p for p in dense if without not in (p.model, p.device)]
    experts = [p for p in experts if without not in (p.model, p.device)]

    def of(dtype: Dtype) -> list[Layer]:
        return [point for point in dense if point.dtype == dtype]

    found = fit_dense(of("bfloat16"))
    parts: dict[str, KernelEfficiency] = {}
    if of("fp8"):
        fitted = fit_dense(of("fp8"), known=found)
        parts["fp8"] = KernelEfficiency(
            **{name: getattr(fitted, name) for name in KernelEfficiency.model_fields}
        )
    for name, dtype in (("experts", "bfloat16"), ("fp8_experts", "fp8")):
        seen = [point for point in experts if point.dtype == dtype]
        if seen:
            parts[name] = fit_experts(seen)
    return found.model_copy(update=parts)


def reduce_fit(kinds: Sequence[str]) -> tuple[float, float, float, float]:
    """Return bytes/s, start-up, what each further device adds to it, and contention."""
    seen = [point for point in reduces() if point.device in kinds]
    n, size, measured = np.array([(p.n, p.bytes, p.seconds) for p in seen], dtype=float).T

    def loss(logarithms: Array) -> float:
        rate, start, further, crowd = np.exp(logarithms)
        carried = 2 * (n - 1) / n * size / rate * (1 + crowd * (n - 2))
        predicted = start + further * (n - 2) + carried
        return float((np.abs(np.log(predicted / measured)) ** 1.5).mean())

    starts = [(3e11, 5e-6, 3e-7, 1e-3), (2e10, 4e-6, 4e-6, 1.0), (3e10, 4e-6, 4e-6, 0.1)]
    rate, start, further, crowd = _least(loss, starts)
    return float(rate), float(start), float(further), float(crowd)


def main() -> None:
    """Fit, and write the folds; benchmarks/prediction.py writes the catalog's files from them."""
    chips = list(dict.fromkeys(point.device for point in layers()))
    folds: dict[str, dict[str, object]] = {}
    for chip in chips:
        dense = [point for point in layers() if point.device == chip]
        experts = [point for point in expert_layers() if point.device == chip]
        models = [*(point.model for point in dense), *(point.model for point in experts)]
        left_out = [None, *dict.fromkeys(models)]
        folds[chip] = {
            name or "": fit_chip(dense, experts, name).model_dump(mode="json", exclude_none=True)
            for name in left_out
        }
        print(chip, folds[chip][""], flush=True)
    dense = [*(p for p in layers() if p.n == 1 or p.phase == "decode"), *helix_layers()]
    names = [None, *dict.fromkeys(point.device for point in dense)]
    folds[OTHER] = {
        name or "": fit_chip(dense, expert_layers(), name).model_dump(
            mode="json", exclude_none=True
        )
        for name in names
    }
    print(OTHER, folds[OTHER][""], flush=True)
    lines = (
        f"{json.dumps(chip)}: {{\n"
        + ",\n".join(f"{json.dumps(name)}: {json.dumps(found)}" for name, found in fits.items())
        + "\n}"
        for chip, fits in folds.items()
    )
    FOLDS.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
