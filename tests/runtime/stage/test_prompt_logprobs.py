from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hexplan_runtime.batch import Row
from hexplan_runtime.model.step import spans_of
from hexplan_runtime.request import Request, Sampling
from hexplan_runtime.stage.logprobs import prompt_logprobs_of

VOCAB, HIDDEN = 200, 8
HEAD_VH = torch.randn(VOCAB, HIDDEN, generator=torch.Generator().manual_seed(1))


def head(x_TH: torch.Tensor) -> torch.Tensor:
    assert len(x_TH) <= 64
    return x_TH @ HEAD_VH.T


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.integers(0, VOCAB - 1), min_size=1, max_size=150).map(tuple),
    st.lists(st.integers(1, 100), max_size=6),
    st.integers(0, 20),
)
def test_pieces_of_a_prompt_are_told_its_log_softmax(
    prompt: tuple[int, ...], sizes: list[int], number: int
) -> None:
    """A neighbour that asks for nothing stands before each piece."""
    x_TH = torch.randn(len(prompt), HIDDEN, generator=torch.Generator().manual_seed(len(prompt)))
    expected_TV = head_of_all(x_TH).log_softmax(-1)
    sampling = Request(prompt, 3, Sampling(prompt_logprobs=number)).row_sampling()
    cuts = sorted({0, len(prompt), *(min(size, len(prompt)) for size in sizes)})
    told = []
    for first, end in zip(cuts, cuts[1:], strict=False):
        rows = [Row(9, 0, 4, 2, 99, Sampling()), Row(0, 0, first, end - first, 999, sampling)]
        around_TH = torch.cat([torch.ones(2, HIDDEN), x_TH[first:end]])
        nothing, mine = prompt_logprobs_of(head, around_TH, spans_of(rows))
        assert nothing == ()
        told += mine
    assert len(told) == len(prompt) - 1
    for one, token, logprobs_V in zip(told, prompt[1:], expected_TV, strict=False):
        assert abs(one.chosen - float(logprobs_V[token])) < 1e-4
        assert abs(one.rank - 1 - int((logprobs_V > logprobs_V[token]).sum())) <= 1
        values = torch.tensor([top.logprob for top in one.likeliest])
        assert torch.allclose(values, logprobs_V.topk(number).values, atol=1e-4)
        same = [top.logprob for top in one.likeliest if top.token_id == token]
        assert same in ([], [one.chosen])


def head_of_all(x_TH: torch.Tensor) -> torch.Tensor:
    return x_TH @ HEAD_VH.T


def test_a_decode_is_told_nothing_of_its_prompt() -> None:
    sampling = Request((1, 2, 3), 3, Sampling(prompt_logprobs=1)).row_sampling()
    rows = [Row(0, 0, 3, 1, 99, sampling, samples=True, decodes=True)]
    assert prompt_logprobs_of(head, torch.ones(1, HIDDEN), spans_of(rows)) == [()]


def test_a_rank_that_does_not_lead_takes_part_and_tells_nothing() -> None:
    calls = []

    def follow(x_TH: torch.Tensor) -> None:
        calls.append(len(x_TH))

    sampling = Request(tuple(range(100)), 3, Sampling(prompt_logprobs=1)).row_sampling()
    rows = [Row(0, 0, 0, 100, 999, sampling, samples=True)]
    assert prompt_logprobs_of(follow, torch.ones(100, HIDDEN), spans_of(rows)) == [()]
    assert calls == [64, 35]


def test_a_request_that_starts_over_is_told_of_its_prompt_once() -> None:
    request = Request((1, 2, 3), 5, Sampling(prompt_logprobs=1))
    assert request.row_sampling((1, 2, 3)).prompt_logprobs == 1
    assert request.row_sampling((1, 2, 3, 4)).prompt_logprobs is None
