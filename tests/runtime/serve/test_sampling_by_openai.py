"""Sampling parameters through the `openai` package, against what transformers does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from openai import OpenAI
from support.reference import continue_greedily, load_reference
from support.serving import Served
from transformers import AutoTokenizer

PROMPT = "It is a truth universally acknowledged, that"
MODEL = "austen-3m"
NUM_TOKENS = 24


@pytest.fixture(scope="module")
def client(austen_server: Served) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{austen_server.url}/v1", api_key="none", max_retries=0) as found:
        yield found


def test_min_tokens_bars_stop_tokens_as_transformers_does(client: OpenAI, austen: Path) -> None:
    tokenizer, model = AutoTokenizer.from_pretrained(austen), load_reference(austen)
    prompt = tokenizer(PROMPT, return_tensors="pt")
    stop = continue_greedily(model, tuple(prompt.input_ids[0].tolist()), 4).token_ids[3]
    ids = model.generate(
        **prompt, do_sample=False, max_new_tokens=NUM_TOKENS, min_new_tokens=8, eos_token_id=[stop]
    )[0].tolist()
    added = ids[prompt.input_ids.shape[1] :]
    assert len(added) >= 8
    found = client.completions.create(
        model=MODEL,
        prompt=PROMPT,
        max_tokens=NUM_TOKENS,
        temperature=0,
        extra_body={"min_tokens": 8, "stop_token_ids": [stop]},
    )
    shown = ids[:-1] if added[-1] == stop else ids
    assert found.choices[0].text == tokenizer.decode(shown)[len(PROMPT) :]
    assert found.usage is not None
    assert found.usage.completion_tokens == len(added)


def test_min_tokens_holds_for_stop_strings_too(client: OpenAI) -> None:
    found = client.completions.create(
        model=MODEL,
        prompt=PROMPT,
        max_tokens=12,
        temperature=0,
        stop=[" "],
        extra_body={"min_tokens": 8},
    )
    assert found.usage is not None
    assert 8 < found.usage.completion_tokens <= 12
    assert found.choices[0].text.count(" ") > 1


def test_the_largest_min_p_leaves_the_likeliest_token(client: OpenAI) -> None:
    ask = {"model": MODEL, "prompt": PROMPT, "max_tokens": 12}
    greedy = client.completions.create(**ask, temperature=0)
    found = client.completions.create(**ask, temperature=1.5, seed=3, extra_body={"min_p": 1.0})
    free = client.completions.create(**ask, temperature=1.5, seed=3)
    assert found.choices[0].text == greedy.choices[0].text
    assert free.choices[0].text != greedy.choices[0].text
