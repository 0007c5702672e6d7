from __future__ import annotations

from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hexplan.errors import InputError
from hexplan_runtime.batch import Row
from hexplan_runtime.request import Request, Sampling
from hexplan_runtime.stage.sampling import draw, sample

LOGITS = torch.tensor([0.5, 2.0, -1.0, 1.5, 0.0])
BY_LIKELIHOOD = [1, 3, 0, 4, 2]


def drawn(sampling: Sampling, count: int = 400) -> Counter[int]:
    return Counter(draw(LOGITS, sampling, position) for position in range(count))


def test_temperature_zero_takes_the_likeliest_token_of_each_row() -> None:
    rows = [Row(0, 0, 0, 1, 9, Sampling()), Row(1, 0, 0, 1, 9, Sampling())]
    assert sample(torch.stack([LOGITS, -LOGITS]), rows).tolist() == [1, 2]


@given(st.integers(0, 2**63 - 1), st.integers(0, 10**6))
def test_seed_and_position_decide_the_token(seed: int, position: int) -> None:
    sampling = Sampling(temperature=1.0, seed=seed)
    assert draw(LOGITS, sampling, position) == draw(LOGITS, sampling, position)


def test_a_row_draws_the_same_alone_and_among_others() -> None:
    row = Row(0, 0, 10, 1, 99, Sampling(temperature=1.0, seed=4))
    greedy = Row(1, 0, 3, 1, 99, Sampling())
    alone = sample(LOGITS[None], [row])
    among = sample(torch.stack([LOGITS, LOGITS]), [greedy, row])
    assert among.tolist() == [1, alone.item()]


def test_draws_follow_the_distribution() -> None:
    counts = drawn(Sampling(temperature=1.0), count=4000)
    for token, probability in enumerate(torch.softmax(LOGITS, 0).tolist()):
        deviation = (4000 * probability * (1 - probability)) ** 0.5
        assert abs(counts[token] - 4000 * probability) < 5 * deviation


def test_a_higher_temperature_draws_unlikely_tokens_more_often() -> None:
    cool, hot = drawn(Sampling(temperature=0.5)), drawn(Sampling(temperature=3.0))
    assert hot[2] > cool[2]
    assert hot[1] < cool[1]


@pytest.mark.parametrize("k", [1, 2, 3])
def test_top_k_draws_the_k_likeliest_tokens_only(k: int) -> None:
    assert set(drawn(Sampling(temperature=2.0, top_k=k))) == set(BY_LIKELIHOOD[:k])


@pytest.mark.parametrize(
    ("top_p", "count"),
    [
        (0.01, 1),  # the likeliest token is always allowed
        (0.48, 1),  # it has 0.488
        (0.50, 2),  # with the next one 0.784
        (0.80, 3),
        (1.00, 5),
    ],
)
def test_top_p_draws_the_likeliest_tokens_that_reach_p(top_p: float, count: int) -> None:
    found = drawn(Sampling(temperature=1.0, top_p=top_p), count=2000)
    assert set(found) == set(BY_LIKELIHOOD[:count])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", -0.1),
        ("temperature", float("nan")),
        ("temperature", float("inf")),
        ("top_k", -1),
        ("top_p", 0.0),
        ("top_p", 1.1),
        ("seed", -1),
        ("seed", 2**63),
    ],
)
def test_a_setting_outside_its_range_is_refused(field: str, value: float) -> None:
    with pytest.raises(InputError, match=f"{field}: .*must be"):
        Sampling(**{field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("prompt_ids", "max_tokens", "field"),
    [
        ((), 1, "prompt"),  # nothing to continue
        ((1,), 0, "max_tokens"),  # nothing asked
    ],
)
def test_an_empty_request_is_refused(
    prompt_ids: tuple[int, ...], max_tokens: int, field: str
) -> None:
    with pytest.raises(InputError, match=field):
        Request(prompt_ids, max_tokens)
