"""Penalties and biases against the processors of transformers and OpenAI's stated formula."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import RepetitionPenaltyLogitsProcessor, SequenceBiasLogitsProcessor

from hexplan.errors import InputError
from hexplan_runtime.request import History, Penalties, TokenBias
from hexplan_runtime.sampling.penalties import Penalized, TokenCounts, add_biases, penalize

VOCAB = 60
tokens = st.lists(st.integers(0, VOCAB - 1), max_size=90)
prompts = st.lists(st.integers(0, VOCAB - 1), min_size=1, max_size=90)


def logits_of(rows: int, seed: int) -> torch.Tensor:
    logits = torch.randn(rows, VOCAB, generator=torch.Generator().manual_seed(seed))
    return logits.mul_(4).where(logits.abs() > 0.2, 0.0)


def counts_of(prompt: list[int], drawn: list[int], split: int) -> TokenCounts:
    """Count some of what was drawn as history, and the rest as it comes."""
    counts = TokenCounts(History((*prompt, *drawn[:split]), len(prompt)))
    for token in drawn[split:]:
        counts.add(token)
    return counts


def by_openai(logits: list[float], drawn: list[int], penalties: Penalties) -> list[float]:
    """Return what OpenAI's formula says: mu[j] - c[j] * frequency - (c[j] > 0) * presence."""
    count = Counter(drawn)
    return [
        logit - count[j] * penalties.frequency - float(count[j] > 0) * penalties.presence
        for j, logit in enumerate(logits)
    ]


@settings(deadline=None, max_examples=25)
@given(
    st.lists(
        st.tuples(
            *(prompts, tokens, st.integers(0, 90)),
            st.sampled_from([0.5, 1.0, 1.1, 3.0]),
            *(st.floats(-2, 2), st.floats(-2, 2)),
        ),
        min_size=1,
        max_size=6,
    ),
    st.integers(0, 999),
)
def test_penalties_are_those_of_transformers_and_openai(
    made: list[tuple[list[int], list[int], int, float, float, float]], seed: int
) -> None:
    """All rows at once, while every second row of the logits asks for nothing."""
    logits = logits_of(2 * len(made), seed)
    before = logits.clone()
    rows = [
        Penalized(2 * index, Penalties(*numbers), counts_of(prompt, drawn, split))
        for index, (prompt, drawn, split, *numbers) in enumerate(made)
    ]
    penalize(logits, rows)
    assert torch.equal(logits[1::2], before[1::2])
    for one, (prompt, drawn, *_) in zip(rows, made, strict=True):
        ids = torch.tensor([prompt + drawn])
        processor = RepetitionPenaltyLogitsProcessor(one.penalties.repetition)
        repeated = processor(ids, before[one.row][None].clone())[0]
        expected = by_openai(repeated.tolist(), drawn, one.penalties)
        assert logits[one.row].tolist() == pytest.approx(expected, abs=1e-4, rel=1e-5)
        if not drawn:
            assert torch.equal(logits[one.row], repeated)


@given(st.floats(0, 1e300, exclude_min=True), st.integers(0, 99))
def test_no_repetition_penalty_makes_a_logit_that_is_no_number(penalty: float, seed: int) -> None:
    logits = logits_of(1, seed)
    every = counts_of(list(range(VOCAB)), [], 0)
    penalize(logits, [Penalized(0, Penalties(penalty), every)])
    assert logits.isfinite().all()


@given(
    st.lists(
        st.dictionaries(st.integers(0, VOCAB - 1), st.floats(-100, 100, width=32), min_size=1),
        min_size=1,
        max_size=4,
    ),
    st.integers(0, 99),
)
def test_biases_are_those_of_transformers(made: list[dict[int, float]], seed: int) -> None:
    logits = logits_of(len(made), seed)
    before = logits.clone()
    biases = [(row, TokenBias(*one)) for row, some in enumerate(made) for one in some.items()]
    add_biases(logits, biases)
    for row, some in enumerate(made):
        processor = SequenceBiasLogitsProcessor([[[token], bias] for token, bias in some.items()])
        assert torch.equal(logits[row], processor(torch.tensor([[0]]), before[row][None])[0])


def test_a_bias_of_a_token_that_the_model_lacks_changes_nothing() -> None:
    logits = logits_of(1, 1)
    before = logits.clone()
    add_biases(logits, [(0, TokenBias(VOCAB, 5.0))])
    assert torch.equal(logits, before)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("repetition", 0.0),
        ("repetition", -1.0),
        ("repetition", float("inf")),
        ("presence", 2.1),
        ("presence", float("nan")),
        ("frequency", -2.1),
    ],
)
def test_a_penalty_outside_its_range_is_refused(field: str, value: float) -> None:
    with pytest.raises(InputError, match=f"{field}_penalty: .*must be"):
        Penalties(**{field: value})


def test_a_bias_outside_its_range_is_refused() -> None:
    with pytest.raises(InputError, match="logit_bias: token 7: 100.5, must be"):
        TokenBias(7, 100.5)
