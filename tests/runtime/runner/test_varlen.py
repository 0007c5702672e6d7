"""Kernels that take all rows at once, against one call a row."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hexplan_runtime.model.kv_cache import Arena, KvShape
from hexplan_runtime.model.kv_reads import Reads, Seen
from hexplan_runtime.runner.varlen import KERNELS, KernelName, VarlenReads, find_kernel

KV_HEADS, GROUP, WIDTH = 2, 3, 16
rows_strategy = st.lists(st.tuples(st.integers(0, 20), st.integers(1, 9)), min_size=1, max_size=4)
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def outputs(
    rows: list[tuple[int, int]], window: int | None, name: KernelName, dtype: torch.dtype
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what a kernel gives and what one call a row gives, for rows of (position, tokens)."""
    arena = Arena((0, 1), 200, KvShape(KV_HEADS, WIDTH, dtype))
    generator = torch.Generator(arena.layer(0)[0].device).manual_seed(1)
    for x in arena.layer(0):
        x.normal_(generator=generator)
    seen, first = [], 0
    for request, (position, tokens) in enumerate(rows):
        arena.extend(request, position + tokens)
        seen.append(Seen(first, position, tokens, arena.place(request)))
        first += tokens
    q = torch.empty(first, KV_HEADS * GROUP, WIDTH, dtype=dtype).normal_(generator=generator)
    found = VarlenReads(seen, window, KERNELS[name]).attend(q, *arena.layer(0))
    return found, Reads(seen, window, arena).attend(q, *arena.layer(0))


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@settings(max_examples=12)
@given(rows=rows_strategy, window=st.none() | st.integers(1, 25))
def test_flex_attention_says_what_one_call_a_row_says(
    rows: list[tuple[int, int]], window: int | None
) -> None:
    found, expected = outputs(rows, window, "flex", torch.float32)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@needs_gpu
@pytest.mark.parametrize("name", list(KERNELS))
@pytest.mark.parametrize("window", [None, 6])
def test_kernels_of_a_gpu_say_what_one_call_a_row_says(
    name: KernelName, window: int | None
) -> None:
    if name != "flex" and find_spec(name) is None:
        pytest.skip(f"{name} is not installed")
    with torch.device("cuda"):
        found, expected = outputs([(0, 7), (12, 1), (5, 4)], window, name, torch.bfloat16)
    torch.testing.assert_close(found, expected, rtol=2e-2, atol=2e-2)


def test_a_processor_attends_by_one_call_a_row() -> None:
    assert find_kernel(torch.device("cpu"), torch.bfloat16) is None


def test_a_gpu_attends_in_32_bits_by_flex_attention() -> None:
    assert find_kernel(torch.device("cuda"), torch.float32) == "flex"
