"""Copies of model folders with some of their files changed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from support.ranks import run_in_pieces, running_stages
from support.reference import all_logits, load_reference
from support.runtime_plans import make_plan

from hexplan.reading.model_folder.folder import read_model_folder

Tensors = dict[str, torch.Tensor]
SINGLE = "model.safetensors"
INDEX = f"{SINGLE}.index.json"
PARTS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
TEXT = torch.randint(0, 256, (40,), generator=torch.Generator().manual_seed(5)).tolist()
PIECES = (30, 1, 9)


@dataclass(frozen=True, slots=True)
class Change:
    """What to change of a folder."""

    config: Mapping[str, Any] = field(default_factory=dict)
    without: Iterable[str] = ()
    """Fields of its config to leave out."""
    weights: Callable[[Tensors], Tensors] | None = None
    files: Callable[[Path], None] | None = None
    """What to do to its files after that."""


def changed(folder: Path, target: Path, change: Change) -> Path:
    """Return a changed copy of a model folder."""
    shutil.copytree(folder, target)
    config = json.loads((target / "config.json").read_text()) | dict(change.config)
    for name in change.without:
        config.pop(name, None)
    (target / "config.json").write_text(json.dumps(config))
    if change.weights is not None:
        save(change.weights(load(target)), target / SINGLE)
    if change.files is not None:
        change.files(target)
    return target


def load(folder: Path) -> Tensors:
    """Return copies of the weights of a folder's single file."""
    return {name: weight.clone() for name, weight in load_file(folder / SINGLE).items()}


def save(weights: Tensors, file: Path) -> None:
    """Write a file of weights, as transformers marks them."""
    save_file(weights, file, {"format": "pt"})


def split(folder: Path) -> None:
    """Write a folder's weights as two files and an index, beside the single file."""
    weights = load(folder)
    names = sorted(weights)
    halves = names[: len(names) // 2], names[len(names) // 2 :]
    for part, half in zip(PARTS, halves, strict=True):
        save({name: weights[name] for name in half}, folder / part)
    places = {name: part for part, half in zip(PARTS, halves, strict=True) for name in half}
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": places}))


def our_logits(folder: Path) -> torch.Tensor:
    """Return what one stage says after each piece of the text."""
    model = read_model_folder(folder, "float32")
    plan = make_plan(model, [((0, model.layers), (1,))])
    with running_stages(plan, folder) as runners:
        return run_in_pieces(runners, plan, TEXT, PIECES)


def their_logits(folder: Path) -> torch.Tensor:
    """Return what transformers says there, from all tokens at once."""
    ends = torch.tensor(PIECES).cumsum(0) - 1
    return all_logits(load_reference(folder), TEXT)[ends]
