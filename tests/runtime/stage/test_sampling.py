from __future__ import annotations

import math
from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import MinPLogitsWarper, TemperatureLogitsWarper

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


settings_of_a_draw = st.builds(
    Sampling,
    temperature=st.sampled_from([0.0, 0.3, 1.0, 4.0]),
    top_k=st.sampled_from([0, 0, 1, 3, 40, 500]),
    top_p=st.sampled_from([1.0, 1.0, 0.01, 0.5, 0.9, 0.999]),
    seed=st.integers(0, 2**63 - 1),
    min_p=st.sampled_from([0.0, 0.0, 0.02, 0.4, 1.0]),
    barred_ids=st.just(()) | st.lists(st.integers(-1, 700), max_size=30).map(tuple),
    barred_until=st.integers(0, 2 * 10**5),
)
VOCAB = 600


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(settings_of_a_draw, st.integers(0, 10**5)), min_size=1, max_size=12),
    st.sampled_from([torch.float32, torch.bfloat16]),
    st.sampled_from([0.3, 3.0]),
)
def test_no_rows_token_depends_on_the_others(
    made: list[tuple[Sampling, int]], dtype: torch.dtype, spread: float
) -> None:
    """In 16 bits and at a low spread many logits are equal, and 256 tokens reach few `top_p`."""
    seed = made[0][0].seed % 2**31
    logits = torch.randn(len(made), VOCAB, generator=torch.Generator().manual_seed(seed))
    logits = (logits * spread).to(dtype)
    rows = [Row(i, 0, at, 1, at + 9, sampling) for i, (sampling, at) in enumerate(made)]
    together = sample(logits, rows).tolist()
    for row, found, logits_V in zip(rows, together, logits, strict=True):
        assert found == int(sample(logits_V[None], [row]))
        if row.position + 1 < row.sampling.barred_until:
            assert found not in row.sampling.barred_ids
            barred = [token for token in row.sampling.barred_ids if 0 <= token < VOCAB]
            logits_V[barred] = -math.inf
        if row.sampling.temperature > 0:
            assert found == draw(logits_V, row.sampling, row.position + 1)
            assert found in allowed_by_definition(logits_V, row.sampling)
        else:
            assert found == int(logits_V.argmax())


def allowed_by_definition(logits_V: torch.Tensor, sampling: Sampling) -> set[int]:
    """Return the tokens that may be drawn, from a sorted list, with room for rounding."""
    scaled = (logits_V.double() / sampling.temperature).tolist()
    order = sorted(range(len(scaled)), key=lambda token: -scaled[token])
    most = scaled[order[0]]
    order = [t for t in order if math.exp(scaled[t] - most) >= sampling.min_p * (1 - 1e-5)]
    kept = order[: sampling.top_k or None]
    kept = [token for token in order if scaled[token] >= scaled[kept[-1]]]
    weights = [math.exp(scaled[token] - most) for token in kept]
    needed, reached, least = sampling.top_p * sum(weights) * (1 + 1e-6), 0.0, 0.0
    for weight in weights:
        reached, least = reached + weight, weight
        if reached >= needed:
            break
    return {t for t, w in zip(kept, weights, strict=True) if w >= least * (1 - 1e-5)}


def test_equal_logits_are_all_allowed_or_none() -> None:
    logits = torch.tensor([0.0, 1.0, 1.0, 1.0])
    found = {draw(logits, Sampling(temperature=1.0, top_k=2), position) for position in range(200)}
    assert found == {1, 2, 3}


def test_the_lowest_temperatures_take_the_likeliest_token() -> None:
    for temperature in (1e-3, 1e-30, 5e-324):
        assert set(drawn(Sampling(temperature=temperature), count=20)) == {1}


def test_a_wide_top_p_is_reached_beyond_the_tokens_that_are_sorted_first() -> None:
    flat = torch.zeros(2000)
    flat[:1000] = 0.01
    found = {draw(flat, Sampling(temperature=1.0, top_p=0.45), at) for at in range(3000)}
    assert found <= set(range(1000))
    assert len(found) > 900


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


@pytest.mark.parametrize("min_p", [0.01, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_min_p_allows_what_transformers_allows(min_p: float, temperature: float) -> None:
    ids = torch.zeros(1, 1, dtype=torch.int64)
    warped = TemperatureLogitsWarper(temperature)(ids, LOGITS[None])
    left = MinPLogitsWarper(min_p)(ids, warped)[0].isfinite().nonzero()[:, 0].tolist()
    sampling = Sampling(temperature=temperature, min_p=min_p)
    assert set(drawn(sampling, count=3000)) == set(left)


def test_barred_tokens_may_be_drawn_from_their_position_on() -> None:
    sampling = Sampling(barred_ids=(1, 3, -7, 10**12), barred_until=10)
    rows = [Row(at, 0, at, 1, 99, sampling) for at in range(12)]
    assert sample(LOGITS.repeat(12, 1), rows).tolist() == [0] * 9 + [1] * 3


def test_stop_ids_are_barred_until_there_are_min_tokens() -> None:
    sampling = Request((5, 6, 7), 8, stop_ids=(1,), min_tokens=2).row_sampling()
    assert (sampling.barred_ids, sampling.barred_until) == ((1,), 5)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", -0.1),
        ("temperature", float("nan")),
        ("temperature", float("inf")),
        ("top_k", -1),
        ("top_p", 0.0),
        ("top_p", 1.1),
        ("min_p", -0.1),
        ("min_p", 1.1),
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
