from __future__ import annotations

import pytest
import torch

from hexplan.errors import HexplanError
from hexplan_runtime.model.kv_cache import KvCache


def new_cache(kv_tokens: int = 100) -> KvCache:
    return KvCache(kv_tokens, kv_heads=2, head_dim=3, dtype=torch.float32)


def test_what_was_appended_comes_back_in_order() -> None:
    cache = new_cache()
    cache.open(7, (4, 6), tokens=10)
    k, v = torch.randn(2, 5, 2, 3)
    cache.append(7, 5, 0, k[:3], v[:3])
    keys, values = cache.append(7, 5, 3, k[3:], v[3:])
    assert torch.equal(keys, k.transpose(0, 1))
    assert torch.equal(values, v.transpose(0, 1))


def test_layers_and_requests_do_not_mix() -> None:
    cache = new_cache()
    for request in (1, 2):
        cache.open(request, (0, 2), tokens=4)
    for number, (request, layer) in enumerate([(1, 0), (1, 1), (2, 0), (2, 1)]):
        ones = torch.ones(1, 2, 3)
        cache.append(request, layer, 0, ones * number, ones * -number)
    keys, _ = cache.append(1, 1, 1, torch.zeros(1, 2, 3), torch.zeros(1, 2, 3))
    assert keys[:, 0].unique().tolist() == [1.0]


def test_room_is_kept_for_the_whole_request_and_freed_at_its_end() -> None:
    cache = new_cache(kv_tokens=10)
    cache.open(1, (0, 2), tokens=6)
    cache.open(1, (0, 2), tokens=6)  # its next rows open it again
    with pytest.raises(HexplanError, match="5 tokens asked, 4 free"):
        cache.open(2, (0, 2), tokens=5)
    cache.close(1)
    with pytest.raises(HexplanError, match="11 tokens asked, 10 free"):
        cache.open(2, (0, 2), tokens=11)


def test_closing_a_request_that_never_came_changes_nothing() -> None:
    cache = new_cache(kv_tokens=10)
    cache.close(3)
    with pytest.raises(HexplanError, match="11 tokens asked, 10 free"):
        cache.open(3, (0, 2), tokens=11)
