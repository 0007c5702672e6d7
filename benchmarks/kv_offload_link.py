"""Decodes over an emulated link from host memory: all fetched, and parts of it.

Requests run side by side in one process. The link makes whoever waits for it sleep, so that its
time does not depend on the processor; gathering and computing do.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final

import torch
from kv_offload_stage import ForcedStage, Way, plan_of
from random_llamas import write_llama
from torch import Tensor
from transformers import LlamaConfig

from hexplan.plan import Plan
from hexplan_runtime.runner.kv_offload.host_link import HostLink

CONFIG: Final = LlamaConfig(
    hidden_size=256,
    num_hidden_layers=6,
    num_attention_heads=8,
    num_key_value_heads=4,
    head_dim=64,
    intermediate_size=512,
    vocab_size=512,
    max_position_embeddings=4096,
    bos_token_id=None,
    eos_token_id=None,
    dtype="float32",
)
LINK_BYTES_PER_S: Final = 200e6
REQUESTS: Final = 4
CONTEXTS: Final = (256, 1024, 2048)
FRACTIONS: Final = (None, *map(Decimal, ("1", "0.2", "0.1", "0.05")))
STEPS: Final = 7
ON_HOST: Final = 4
"""Layers in host memory, of six."""
LAYER_BYTES: Final = 2 * 4 * 64 * 4
"""Of a token."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What decodes of one kind took."""

    step_s: float
    fetched_bytes: float
    """In one step."""


def seen_of(plan: Plan, ids_RT: Tensor, fraction: Decimal | None) -> Seen:
    """Return the median step after prompts that leave room for a few decodes."""
    stage = ForcedStage(plan, Way(fraction, link=HostLink(LINK_BYTES_PER_S)))
    prompt = ids_RT.shape[1] - STEPS
    times: list[float] = []
    run = stage._stage.run

    def timed(batch: object) -> object:
        begun_s = time.perf_counter()
        output = run(batch)  # type: ignore[arg-type]
        times.append(time.perf_counter() - begun_s)
        return output

    stage._stage.run = timed  # type: ignore[assignment]
    stage.logits(ids_RT, prompt)
    return Seen(median(times[2 : 1 + STEPS]), stage.link.ahead_bytes / STEPS)


def link_rows() -> Iterator[str]:
    """Yield the table."""
    yield (
        "| context | fetched | MB a step | ms a step | tokens/s | over all | formula, over all |"
    )
    yield "|---|---|---|---|---|---|---|"
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        write_llama(CONFIG, path)
        plan = plan_of(path)
        for context in CONTEXTS:
            generator = torch.Generator().manual_seed(context)
            ids_RT = torch.randint(0, 512, (REQUESTS, context), generator=generator)
            seen = {fraction: seen_of(plan, ids_RT, fraction) for fraction in FRACTIONS}
            everything, resident_s = seen[Decimal(1)].step_s, seen[None].step_s
            for fraction, one in seen.items():
                name = "nothing: all on the device" if fraction is None else f"{fraction:.0%}"
                told = "" if fraction is None else f"{_gain(resident_s, context, fraction):.2f}"
                yield (
                    f"| {context} | {name} | {one.fetched_bytes / 1e6:.2f} |"
                    f" {one.step_s * 1e3:.1f} | {REQUESTS / one.step_s:.1f} |"
                    f" {everything / one.step_s:.2f} | {told} |"
                )


def _gain(resident_s: float, context: int, fraction: Decimal) -> float:
    """Return the gain over fetching all: layers take the longer of computing and fetching."""

    def step_s(share: float) -> float:
        layer_s = resident_s / 6
        fetch_s = share * REQUESTS * context * LAYER_BYTES / LINK_BYTES_PER_S
        return 2 * layer_s + ON_HOST * max(layer_s, fetch_s)

    return step_s(1.0) / step_s(float(fraction))
