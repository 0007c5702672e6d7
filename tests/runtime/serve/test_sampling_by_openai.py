"""Sampling parameters through the `openai` package, against what transformers does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from openai import BadRequestError, OpenAI
from support.reference import continue_greedily, load_reference
from support.serving import Served
from transformers import AutoTokenizer, PreTrainedModel
from transformers.convert_slow_tokenizer import bytes_to_unicode

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


@pytest.fixture(scope="module")
def model(austen: Path) -> PreTrainedModel:
    return load_reference(austen)


def log_softmax(model: PreTrainedModel, ids: list[int], num_prompt: int) -> torch.Tensor:
    """Return what transformers gives for each token after the prompt: `[tokens, vocabulary]`."""
    with torch.inference_mode():
        logits = model(torch.tensor([ids])).logits[0, num_prompt - 1 : -1]
    return logits.float().log_softmax(-1)


@pytest.mark.parametrize("streams", [False, True])
def test_logprobs_of_a_completion_are_those_of_transformers(
    client: OpenAI, austen: Path, model: PreTrainedModel, streams: bool
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(austen)
    found = client.completions.create(
        model=MODEL, prompt=PROMPT, max_tokens=12, temperature=0, logprobs=3, stream=streams
    )
    choices = [chunk.choices[0] for chunk in (found if streams else [found])]
    parts = [choice.logprobs for choice in choices]
    text = "".join(choice.text for choice in choices)
    tokens = [token for part in parts for token in part.tokens]
    values = [value for part in parts for value in part.token_logprobs]
    tops = [top for part in parts for top in part.top_logprobs]
    offsets = [offset for part in parts for offset in part.text_offset]
    assert len(tokens) == len(values) == len(tops) == len(offsets) == 12
    prompt = tokenizer(PROMPT).input_ids
    added = list(continue_greedily(model, tuple(prompt), 12).token_ids)
    expected = log_softmax(model, [*prompt, *added], len(prompt))
    assert values == pytest.approx(expected.amax(-1).tolist(), abs=1e-4)
    for index, (token, value, top) in enumerate(zip(tokens, values, tops, strict=True)):
        assert top[token] == value == max(top.values())
        assert sorted(top.values()) == pytest.approx(
            sorted(expected[index].topk(3).values.tolist()), abs=1e-4
        )
        assert text.startswith(token, offsets[index])
    assert "".join(tokens) == text


def test_logprobs_of_a_chat_are_those_before_temperature(
    client: OpenAI, austen: Path, model: PreTrainedModel
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(austen)
    found = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": PROMPT}],
        max_tokens=12,
        temperature=1.3,
        seed=5,
        logprobs=True,
        top_logprobs=2,
        extra_body={"ignore_eos": True},
    )
    told = found.choices[0].logprobs
    assert told is not None and told.content is not None
    assert len(told.content) == 12
    text = b"".join(bytes(one.bytes or []) for one in told.content)
    assert text.decode(errors="replace").strip() == (found.choices[0].message.content or "").strip()
    ids = tokenizer(PROMPT + "\n").input_ids
    num_prompt = len(ids)
    letters = {letter: byte for byte, letter in bytes_to_unicode().items()}
    entries = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    by_bytes = {bytes(letters[one] for one in entry): at for at, entry in enumerate(entries)}
    added = [by_bytes[bytes(one.bytes or [])] for one in told.content]
    expected = log_softmax(model, ids + added, num_prompt)
    for one, token, expected_V in zip(told.content, added, expected, strict=True):
        assert one.logprob == pytest.approx(float(expected_V[token]), abs=1e-4)
        listed = {top.token: top.logprob for top in one.top_logprobs}
        assert listed[one.token] == one.logprob
        assert [top.logprob for top in one.top_logprobs[:2]] == pytest.approx(
            expected_V.topk(2).values.tolist(), abs=1e-4
        )


def test_nothing_is_told_unless_asked(client: OpenAI) -> None:
    ask = {"model": MODEL, "messages": [{"role": "user", "content": "Emma"}], "max_tokens": 2}
    assert client.chat.completions.create(**ask).choices[0].logprobs is None
    told = client.chat.completions.create(**ask, logprobs=True).choices[0].logprobs
    assert told is not None and told.content is not None
    assert [one.top_logprobs for one in told.content] == [[], []]
    with pytest.raises(BadRequestError, match="needs logprobs"):
        client.chat.completions.create(**ask, top_logprobs=2)
    with pytest.raises(BadRequestError, match="<= 20"):
        client.chat.completions.create(**ask, logprobs=True, top_logprobs=21)
