"""What is told of prompts, through two stages and in pieces, against transformers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from openai import OpenAI
from support.reference import load_reference
from support.serving import Served
from transformers import AutoTokenizer, PreTrainedTokenizerBase

MODEL = "austen-3m"
SHORT = "It is a truth universally acknowledged, that"
NUM_LONG = 200
"""Tokens of a prompt that this server runs in four pieces."""


@pytest.fixture(scope="module")
def client(austen_server: Served) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{austen_server.url}/v1", api_key="none", max_retries=0) as found:
        yield found


@pytest.fixture(scope="module")
def tokenizer(austen: Path) -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(austen)


@pytest.fixture(scope="module")
def long_ids(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    generator = torch.Generator().manual_seed(3)
    return torch.randint(2, len(tokenizer), (NUM_LONG,), generator=generator).tolist()


@pytest.fixture(scope="module")
def expected(austen: Path, tokenizer: PreTrainedTokenizerBase, long_ids: list[int]) -> list[Any]:
    """Return ids and what transformers gives after each of them, short and long."""
    model = load_reference(austen)
    found = []
    for ids in (tokenizer(SHORT).input_ids, long_ids):
        with torch.inference_mode():
            found.append((ids, model(torch.tensor([ids])).logits[0].log_softmax(-1)))
    return found


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("num_new", [0, 2])
def test_an_echoed_prompt_has_the_logprobs_of_transformers(
    client: OpenAI,
    tokenizer: PreTrainedTokenizerBase,
    expected: list[Any],
    num_new: int,
    streams: bool,
) -> None:
    """As harnesses that score texts ask for them: lists of token ids, several at once."""
    asked = client.completions.create(
        model=MODEL,
        prompt=[ids for ids, _ in expected],
        max_tokens=num_new,
        temperature=0,
        logprobs=2,
        echo=True,
        stream=streams,
    )
    told: list[dict[str, list[Any]]] = [{} for _ in expected]
    texts = ["" for _ in expected]
    for chunk in asked if streams else [asked]:
        for choice in chunk.choices:
            texts[choice.index] += choice.text
            for name, values in choice.logprobs.model_dump().items() if choice.logprobs else ():
                told[choice.index].setdefault(name, []).extend(values)
    if not streams:
        assert asked.usage.completion_tokens == 2 * num_new
    for index, (ids, logprobs_TV) in enumerate(expected):
        one = told[index]
        assert {len(values) for values in one.values()} == {len(ids) + num_new}
        assert one["token_logprobs"][0] is None
        assert one["top_logprobs"][0] is None
        assert texts[index].startswith(tokenizer.decode(ids, skip_special_tokens=True))
        values = one["token_logprobs"][1 : len(ids)]
        rows = zip(values, ids[1:], logprobs_TV, one["top_logprobs"][1:], strict=False)
        for value, token, logprobs_V, top in rows:
            assert value == pytest.approx(float(logprobs_V[token]), abs=1e-4)
            assert value in top.values()
            assert max(top.values()) == pytest.approx(float(logprobs_V.max()), abs=1e-4)
    short = told[0]
    for token, offset in zip(short["tokens"], short["text_offset"], strict=True):
        assert texts[0].startswith(token, offset)


def test_prompt_logprobs_have_vllms_form(client: OpenAI, expected: list[Any]) -> None:
    found = client.completions.create(
        model=MODEL,
        prompt=[ids for ids, _ in expected],
        max_tokens=1,
        extra_body={"prompt_logprobs": 3},
    )
    for choice, (ids, logprobs_TV) in zip(found.choices, expected, strict=True):
        assert choice.logprobs is None
        first, *maps = choice.model_extra["prompt_logprobs"]
        assert first is None
        assert len(maps) == len(ids) - 1
        for one, token, logprobs_V in zip(maps, ids[1:], logprobs_TV, strict=False):
            mine = one[str(token)]
            assert mine["logprob"] == pytest.approx(float(logprobs_V[token]), abs=1e-4)
            assert len(one) == 3 + (mine["rank"] > 3)
            ranks = {int(name): entry["rank"] for name, entry in one.items()}
            for other, rank in ranks.items():
                likelier = int((logprobs_V > logprobs_V[other] + 1e-4).sum())
                as_likely = int((logprobs_V > logprobs_V[other] - 1e-4).sum())
                assert likelier < rank <= as_likely


def test_a_chat_tells_of_its_prompt_beside_its_choices(
    client: OpenAI, tokenizer: PreTrainedTokenizerBase
) -> None:
    found = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": SHORT}],
        max_tokens=1,
        n=2,
        extra_body={"prompt_logprobs": 0},
    )
    ids = tokenizer(SHORT + "\n").input_ids
    _, *maps = found.model_extra["prompt_logprobs"]
    assert [list(one) for one in maps] == [[str(token)] for token in ids[1:]]
    assert maps[0][str(ids[1])]["decoded_token"] == " is"


def test_a_prompt_of_one_token_has_nothing_before_it(client: OpenAI) -> None:
    ask = {"model": MODEL, "prompt": [300], "max_tokens": 0, "echo": True, "logprobs": 1}
    told = client.completions.create(**ask).choices[0].logprobs
    assert told is not None
    assert told.token_logprobs == [None]
