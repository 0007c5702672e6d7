from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hexplan_runtime.batch import Row
from hexplan_runtime.request import Logprobs, Sampling
from hexplan_runtime.stage.logprobs import logprobs_of

VOCAB = 300


@settings(deadline=None)
@given(
    st.lists(st.none() | st.integers(0, 20), min_size=1, max_size=9),
    st.sampled_from([torch.float32, torch.bfloat16]),
    st.integers(0, 999),
)
def test_each_row_is_told_its_own_log_softmax(
    asked: list[int | None], dtype: torch.dtype, seed: int
) -> None:
    """In 16 bits many logits are equal; what is told of them must not depend on other rows."""
    logits = torch.randn(len(asked), VOCAB, generator=torch.Generator().manual_seed(seed))
    logits = (3 * logits).to(dtype)
    ids = torch.arange(len(asked)) * 7
    samplings = [Sampling(temperature=0.7, top_logprobs=number) for number in asked]
    rows = [Row(i, 0, 5, 1, 9, sampling) for i, sampling in enumerate(samplings)]
    told = logprobs_of(logits, ids, rows) or (None,) * len(rows)
    expected = logits.double().log_softmax(-1)
    for index, (number, one) in enumerate(zip(asked, told, strict=True)):
        if number is None:
            assert one is None
            continue
        assert isinstance(one, Logprobs)
        assert abs(one.chosen - float(expected[index, ids[index]])) < 1e-5
        values = [top.logprob for top in one.likeliest]
        assert torch.allclose(torch.tensor(values).double(), expected[index].topk(number).values)
        for top in one.likeliest:
            assert abs(top.logprob - float(expected[index, top.token_id])) < 1e-5
        alone = logprobs_of(logits[index : index + 1], ids[index : index + 1], [rows[index]])
        assert alone == (one,)


def test_the_chosen_token_has_the_same_float_among_the_likeliest() -> None:
    logits = torch.randn(1, VOCAB, generator=torch.Generator().manual_seed(3))
    row = Row(0, 0, 5, 1, 9, Sampling(top_logprobs=1))
    (told,) = logprobs_of(logits, logits.argmax(-1), [row])
    assert told is not None
    assert told.likeliest[0].logprob == told.chosen


def test_nobody_is_told_what_nobody_asks() -> None:
    rows = [Row(0, 0, 5, 1, 9, Sampling())]
    assert logprobs_of(torch.randn(1, VOCAB), torch.tensor([1]), rows) == ()
