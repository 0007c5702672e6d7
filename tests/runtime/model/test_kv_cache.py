from __future__ import annotations

import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hexplan.errors import HexplanError
from hexplan.field_types import Range
from hexplan_runtime.model.kv_cache import KvCache, KvShape, blocks_of

SHAPE = KvShape(kv_heads=2, head_dim=3, dtype=torch.float32)


def new_cache(kv_tokens: int = 10, blocks: tuple[Range, ...] = ((0, 2),)) -> KvCache:
    return KvCache(blocks, kv_tokens, SHAPE)


def test_room_is_kept_for_the_whole_request_and_freed_at_its_end() -> None:
    cache = new_cache()
    cache.open(1, 0, tokens=6)
    cache.open(1, 0, tokens=6)  # its next rows open it again
    with pytest.raises(HexplanError, match="5 tokens asked, 4 free"):
        cache.open(2, 0, tokens=5)
    cache.close(1)
    with pytest.raises(HexplanError, match="11 tokens asked, 10 free"):
        cache.open(2, 0, tokens=11)


def test_closing_a_request_that_never_came_changes_nothing() -> None:
    cache = new_cache()
    cache.close(3)
    with pytest.raises(HexplanError, match="11 tokens asked, 10 free"):
        cache.open(3, 0, tokens=11)


def test_a_request_that_grows_keeps_its_slots() -> None:
    cache = new_cache()
    cache.open(1, 0, tokens=3)
    before = cache.arenas[0].place(1).slots.tolist()
    cache.open(2, 0, tokens=2)
    cache.open(1, 0, tokens=8)
    after = cache.arenas[0].place(1)
    assert after.slots[:3].tolist() == before
    assert after.start is None
    assert len(set(after.slots.tolist())) == 8


def test_a_request_that_enters_inside_holds_slots_of_later_blocks_only() -> None:
    cache = new_cache(blocks=((0, 2), (2, 3), (3, 8)))
    cache.open(1, 2, tokens=7)
    assert [arena.free for arena in cache.arenas] == [10, 3, 3]
    cache.open(2, 0, tokens=3)
    with pytest.raises(HexplanError, match="4 tokens asked, 0 free"):
        cache.open(3, 0, tokens=4)
    assert [arena.free for arena in cache.arenas] == [7, 0, 0]


def test_a_refused_request_leaves_nothing_behind() -> None:
    cache = new_cache(blocks=((0, 2), (2, 4)))
    cache.open(1, 2, tokens=8)
    with pytest.raises(HexplanError, match="3 tokens asked, 2 free"):
        cache.open(2, 0, tokens=3)
    cache.close(1)
    cache.open(3, 0, tokens=10)


def test_requests_of_many_lengths_fill_the_arena_to_the_last_token() -> None:
    """Only what the plan has no room for is refused, however the arena is fragmented."""
    rng, cache = random.Random(4), new_cache(kv_tokens=5000)
    held: dict[int, int] = {}
    refused_at = []
    for request in range(3000):
        tokens = rng.choice([rng.randint(1, 40), rng.randint(1, 900)])
        used = sum(held.values())
        try:
            cache.open(request, 0, tokens)
            held[request] = tokens
        except HexplanError:
            assert used + tokens > 5000
            refused_at.append(used)
            victim = rng.choice(list(held))
            cache.close(victim)
            del held[victim]
        assert cache.arenas[0].free == 5000 - sum(held.values())
    assert len(refused_at) > 100


def test_a_layers_keys_stay_in_one_tensor_for_all_requests() -> None:
    cache = new_cache(kv_tokens=40)
    keys, values = cache.arenas[0].layer(1)
    assert keys.shape == values.shape == (2, 40, 3)
    for request in range(4):
        cache.open(request, 0, tokens=10)
    assert cache.arenas[0].layer(1)[0].data_ptr() == keys.data_ptr()
    assert not keys.any()  # what was never written is a number, as masks hide no NaN


def test_an_arena_larger_than_memory_takes_only_what_is_written() -> None:
    terabytes = KvCache(((0, 4),), 2**30, KvShape(4, 64, torch.bfloat16))
    keys, _ = terabytes.arenas[0].layer(3)
    keys[:, -5:] = 1
    assert keys[:, -6:].sum() == 4 * 5 * 64


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_an_arena_takes_what_the_plan_counts(dtype: torch.dtype) -> None:
    keys, values = KvCache(((0, 3),), 7, KvShape(2, 4, dtype)).arenas[0].layer(2)
    assert keys.dtype == dtype
    assert keys.nbytes + values.nbytes == 2 * 2 * 7 * 4 * dtype.itemsize


@pytest.mark.parametrize(
    ("layers", "enters", "blocks"),
    [
        ((0, 4), [0], [(0, 4)]),
        ((0, 4), [0, None, 2, 3, 2], [(0, 2), (2, 3), (3, 4)]),
        ((4, 8), [6], [(4, 6), (6, 8)]),  # no route enters at its first layer
    ],
)
def test_blocks_begin_where_routes_enter(
    layers: Range, enters: list[int | None], blocks: list[Range]
) -> None:
    assert list(blocks_of(layers, enters)) == blocks


def test_what_stays_of_a_request_is_its_first_tokens() -> None:
    cache = new_cache(kv_tokens=40)
    cache.open(1, 0, tokens=20)
    before = cache.arenas[0].place(1).slots.tolist()
    cache.close(1, stays=16)
    assert cache.arenas[0].place(1).slots.tolist() == before[:16]
    assert cache.arenas[0].free == 24
    cache.close(1)
    assert cache.arenas[0].free == 40
    cache.close(1, stays=16)
    assert cache.arenas[0].free == 40


def test_a_copy_has_the_same_keys_and_values_in_the_layers_that_its_request_runs() -> None:
    cache = new_cache(kv_tokens=40, blocks=((0, 2), (2, 3)))
    cache.open(1, 0, tokens=10)
    assert cache.open(2, 2, tokens=12)
    assert not cache.open(2, 2, tokens=13)
    for arena in cache.arenas:
        for layer in range(*arena.layers):
            for x in arena.layer(layer):
                x.copy_(torch.randn(x.shape))
    cache.copy(1, 2, tokens=8)
    first, second = cache.arenas
    assert not first.holds(2)
    for x in second.layer(2):
        source, own = (x[:, second.place(request).slots[:8]] for request in (1, 2))
        assert torch.equal(source, own)


def test_requests_of_many_lengths_waste_no_slot_of_the_pool() -> None:
    """A page is one token. What stays of those that are over is in whole blocks of 16."""
    rng = random.Random(2)
    cache = new_cache(kv_tokens=4096)
    (arena,) = cache.arenas
    held: dict[int, int] = {}
    for request in range(600):
        size = rng.choice([rng.randint(1, 40), rng.randint(100, 900)])
        while size > arena.free:
            over = rng.choice(list(held))
            held[over] = held[over] // 16 * 16 if held[over] % 16 else 0
            cache.close(over, stays=held[over])
            held = {one: tokens for one, tokens in held.items() if tokens}
        cache.open(request, 0, size)
        held[request] = size
        assert arena.free == 4096 - sum(held.values())


@settings(max_examples=25)
@given(st.lists(st.integers(1, 6), min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_keys_and_values_come_back_from_host_memory_bit_by_bit(
    sizes: list[int], dice: random.Random
) -> None:
    """Requests leave in any order, so that they get other slots, in pieces, when they are back."""
    cache = KvCache(((0, 2), (2, 5)), sum(sizes) + 3, SHAPE)
    enters = [dice.choice([0, 2]) for _ in sizes]
    for request, tokens in enumerate(sizes):
        cache.open(request, enters[request], tokens)
    for arena in cache.arenas:
        for layer in range(*arena.layers):
            for x in arena.layer(layer):
                x.copy_(torch.rand_like(x))
    before = [contents(cache, request) for request in range(len(sizes))]
    order = list(range(len(sizes)))
    for request in dice.sample(order, len(order)):
        cache.stow(request, sizes[request])
    assert [arena.free for arena in cache.arenas] == [sum(sizes) + 3] * 2
    cache.open(99, 0, 2)
    for request in dice.sample(order, len(order)):
        cache.open(request, enters[request], sizes[request])
        cache.fetch(request)
    for request in order:
        after = contents(cache, request)
        assert len(after) == len(before[request])
        assert all(torch.equal(*pair) for pair in zip(before[request], after, strict=True))


def test_a_request_that_ends_in_host_memory_leaves_nothing_there() -> None:
    cache = new_cache()
    cache.open(1, 0, tokens=4)
    cache.stow(1, 3)
    cache.close(1)
    assert not any(arena.has_stowed(1) for arena in cache.arenas)


def contents(cache: KvCache, request: int) -> list[torch.Tensor]:
    """Keys and values of a request, layer by layer."""
    return [
        x[:, arena.place(request).slots].clone()
        for arena in cache.arenas
        if arena.holds(request)
        for layer in range(*arena.layers)
        for x in arena.layer(layer)
    ]
