"""Pages: their bounds, which of them are chosen, and what becomes of bounds in an arena."""

from __future__ import annotations

from decimal import Decimal
from math import ceil

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from hexplan.constants import PAGE_TOKENS
from hexplan.techniques import KvOffload
from hexplan_runtime.model.kv_cache import KvCache, KvShape
from hexplan_runtime.runner.kv_offload.offload_arena import OffloadArena, make_arena
from hexplan_runtime.runner.kv_offload.pages import bounded, choose

SHAPE = KvShape(2, 4, torch.float32)
HOW = KvOffload(from_layer=1, fraction=Decimal("0.1"), link_bytes_per_s=1, kv_tokens=1)
seeds = st.integers(0, 2**31)


def random(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@given(seeds, st.integers(1, 3), st.integers(1, 6))
def test_no_key_of_a_page_has_a_larger_product_with_a_query_than_its_bounds_allow(
    seed: int, rows: int, pages: int
) -> None:
    k_GRPtE = random(seed, 2, rows, pages, PAGE_TOKENS, 4)
    q_RGgE = random(seed + 1, rows, 2, 1, 4)
    bounds_CGRPE = torch.stack([k_GRPtE.amin(3), k_GRPtE.amax(3)])
    scores_RGP = bounded(q_RGgE, bounds_CGRPE)
    products_RGPt = torch.einsum("rgqe,grpte->rgpt", q_RGgE, k_GRPtE)
    # Scores are told from that of the best page on, so it is 0, and bounds keep their distances.
    assert torch.equal(scores_RGP.amax(-1), torch.zeros(rows, 2))
    best_RG1 = (scores_RGP == 0).float().argmax(-1, keepdim=True)
    high_RGP = torch.einsum("rge,grpe->rgp", torch.relu(q_RGgE[:, :, 0]), bounds_CGRPE[1])
    low_RGP = torch.einsum("rge,grpe->rgp", torch.relu(-q_RGgE[:, :, 0]), bounds_CGRPE[0])
    limit_RG1 = (high_RGP - low_RGP).gather(-1, best_RG1)
    assert (products_RGPt <= (scores_RGP + limit_RG1)[..., None] + 1e-4).all()


@given(
    seeds,
    st.lists(st.tuples(st.integers(0, 5), st.integers(1, 9)), min_size=1, max_size=4),
    st.decimals("0.01", 1, places=2),
)
def test_each_row_gets_its_last_page_and_the_best_of_others_and_no_more_than_its_share(
    seed: int, sizes: list[tuple[int, int]], fraction: Decimal
) -> None:
    visible = [(first, first + count) for first, count in sizes]
    scores_RGP = random(seed, len(sizes), 2, max(end for _, end in visible))
    needed = choose(scores_RGP, visible, fraction)
    for row, (first, end) in enumerate(visible):
        is_needed_n = needed.is_needed_R1n[row, 0]
        for head in range(2):
            found = needed.pages_RGn[row, head][is_needed_n].tolist()
            others = range(first, end - 1)
            ranked = sorted(others, key=lambda page: -scores_RGP[row, head, page].item())
            ranked = [end - 1, *ranked]
            assert sorted(found) == sorted(ranked[: ceil((end - first) * fraction)])


def cache_with(tokens: int) -> tuple[KvCache, OffloadArena]:
    cache = KvCache([(0, 3)], tokens, SHAPE, make_arena(HOW))
    (arena,) = cache.arenas
    assert isinstance(arena, OffloadArena)
    return cache, arena


def write(arena: OffloadArena, request: int, k_LGTE: Tensor) -> None:
    """Store keys of a request from its first position on, as a step does."""
    tokens = k_LGTE.shape[2]
    pages_T = arena.pages(request)[torch.arange(tokens) // PAGE_TOKENS]
    for layer, k_GTE in enumerate(k_LGTE, start=HOW.from_layer):
        keys_GSE, _ = arena.layer(layer)
        keys_GSE.index_copy_(1, arena.place(request).slots[:tokens], k_GTE)
        arena.bound(layer, pages_T, k_GTE)


def assert_bounds_are_of(arena: OffloadArena, request: int, k_LGTE: Tensor) -> None:
    for layer, k_GTE in enumerate(k_LGTE, start=HOW.from_layer):
        bounds_CGPE = arena.bounds(layer)[:, :, arena.pages(request)]
        for page, part_GtE in enumerate(k_GTE.split(PAGE_TOKENS, dim=1)):
            expected = torch.stack([part_GtE.amin(1), part_GtE.amax(1)])
            assert torch.equal(bounds_CGPE[:, :, page], expected)


def test_bounds_follow_keys_that_are_copied_grow_make_way_and_come_back() -> None:
    cache, arena = cache_with(100)
    k_LGTE = random(3, 2, 2, 29, 4)
    cache.open(1, 0, 20)
    write(arena, 1, k_LGTE[:, :, :20])
    cache.open(1, 0, 29)
    write(arena, 1, k_LGTE)
    cache.open(2, 0, 30)
    cache.copy(1, 2, 13)
    assert_bounds_are_of(arena, 2, k_LGTE[:, :, :13])
    cache.stow(1, 29)
    cache.open(3, 0, 40)
    write(arena, 3, 5 * random(4, 2, 2, 40, 4))
    cache.open(1, 0, 29)
    cache.fetch(1)
    assert_bounds_are_of(arena, 1, k_LGTE)
    cache.close(1, stays=16)
    assert_bounds_are_of(arena, 1, k_LGTE[:, :, :16])


def test_small_requests_get_pages_of_their_own_though_they_fill_none() -> None:
    cache, arena = cache_with(16)
    for request in range(16):
        cache.open(request, 0, 1)
    pages = torch.cat([arena.pages(request) for request in range(16)])
    assert len(set(pages.tolist())) == 16
    for request in range(16):
        cache.close(request)
    cache.open(20, 0, 16)
    assert len(arena.pages(20)) == 2
