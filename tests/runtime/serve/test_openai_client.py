"""The `openai` package, as it is, against a plan of two stages that really runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import openai
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


@pytest.fixture(scope="module")
def expected(austen: Path) -> str:
    """Return what transformers adds to the prompt."""
    tokenizer = AutoTokenizer.from_pretrained(austen)
    ids = tuple(tokenizer(PROMPT).input_ids)
    added = continue_greedily(load_reference(austen), ids, NUM_TOKENS).token_ids
    return tokenizer.decode([*ids, *added])[len(tokenizer.decode(ids)) :]


def test_the_model_is_listed_and_found(client: OpenAI) -> None:
    assert [model.id for model in client.models.list()] == [MODEL]
    assert client.models.retrieve(MODEL).owned_by == "hexplan"
    with pytest.raises(openai.NotFoundError, match="does not exist"):
        client.models.retrieve("gpt-5")


def test_a_completion_is_the_text_of_transformers(client: OpenAI, expected: str) -> None:
    found = client.completions.create(
        model=MODEL, prompt=PROMPT, max_tokens=NUM_TOKENS, temperature=0
    )
    assert found.choices[0].text == expected
    assert found.choices[0].finish_reason == "length"
    assert found.usage is not None
    assert found.usage.completion_tokens == NUM_TOKENS
    assert found.usage.total_tokens == NUM_TOKENS + found.usage.prompt_tokens


def test_a_stream_has_one_chunk_a_token_and_the_usage_last(client: OpenAI, expected: str) -> None:
    chunks = list(
        client.completions.create(
            model=MODEL,
            prompt=PROMPT,
            max_tokens=NUM_TOKENS,
            temperature=0,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    *tokens, last = chunks
    assert len(tokens) == NUM_TOKENS
    assert "".join(chunk.choices[0].text for chunk in tokens) == expected
    assert [chunk.choices[0].finish_reason for chunk in tokens][-2:] == [None, "length"]
    assert [chunk.usage for chunk in tokens] == [None] * NUM_TOKENS
    assert last.choices == []
    assert last.usage is not None
    assert last.usage.completion_tokens == NUM_TOKENS
    assert len({chunk.id for chunk in chunks}) == 1


def test_a_chat_is_the_completion_of_its_rendered_text(client: OpenAI) -> None:
    first = client.chat.completions.create(
        model=MODEL,
        messages=[
            {"role": "system", "content": "Emma Woodhouse, handsome,"},
            {"role": "user", "content": [{"type": "text", "text": "clever, and rich,"}]},
        ],
        max_completion_tokens=12,
        temperature=0,
    )
    text = "Emma Woodhouse, handsome,\nclever, and rich,\n"
    second = client.completions.create(model=MODEL, prompt=text, max_tokens=12, temperature=0)
    assert first.choices[0].message.role == "assistant"
    assert first.choices[0].message.content == second.choices[0].text
    assert first.usage == second.usage


def test_a_streamed_chat_begins_with_the_role(client: OpenAI) -> None:
    stream = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": PROMPT}],
        max_tokens=5,
        temperature=0,
        stream=True,
    )
    first, *others = list(stream)
    assert first.choices[0].delta.role == "assistant"
    assert first.choices[0].delta.content == ""
    assert len(others) == 5
    assert all(isinstance(chunk.choices[0].delta.content, str) for chunk in others)
    assert others[-1].choices[0].finish_reason == "length"


def test_tools_reach_the_template(client: OpenAI) -> None:
    ask = {
        "model": MODEL,
        "messages": [{"role": "user", "content": "Hello"}],
        "max_tokens": 1,
    }
    tool = {"type": "function", "function": {"name": "look_up", "parameters": {}}}
    plain = client.chat.completions.create(**ask)
    tooled = client.chat.completions.create(**ask, tools=[tool])
    without = client.chat.completions.create(**ask, tools=[tool], tool_choice="none")
    assert plain.usage and tooled.usage and without.usage
    assert tooled.usage.prompt_tokens > plain.usage.prompt_tokens + 10
    assert without.usage.prompt_tokens == plain.usage.prompt_tokens


def test_many_prompts_and_choices_come_in_order(client: OpenAI, expected: str) -> None:
    found = client.completions.create(
        model=MODEL,
        prompt=[PROMPT, "Emma was"],
        n=2,
        max_tokens=NUM_TOKENS,
        temperature=0,
        echo=True,
    )
    texts = [choice.text for choice in found.choices]
    assert [choice.index for choice in found.choices] == [0, 1, 2, 3]
    assert texts[:2] == [PROMPT + expected] * 2
    assert all(text.startswith("Emma was") for text in texts[2:])
    assert found.usage is not None
    assert found.usage.completion_tokens == 4 * NUM_TOKENS


def test_token_ids_are_a_prompt_too(client: OpenAI, austen: Path, expected: str) -> None:
    ids = AutoTokenizer.from_pretrained(austen)(PROMPT).input_ids
    for prompt in (ids, [ids]):
        found = client.completions.create(
            model=MODEL, prompt=prompt, max_tokens=NUM_TOKENS, temperature=0
        )
        assert found.choices[0].text == expected


def test_echo_without_new_tokens_gives_the_prompt_back(client: OpenAI) -> None:
    found = client.completions.create(model=MODEL, prompt=PROMPT, max_tokens=0, echo=True)
    assert found.choices[0].text == PROMPT
    assert found.usage is not None
    assert found.usage.completion_tokens == 0


@pytest.mark.parametrize("streams", [False, True])
def test_a_stop_string_ends_the_text_before_it(
    client: OpenAI, expected: str, streams: bool
) -> None:
    stop = expected[len(expected) // 2 :][:5]
    found = client.completions.create(
        model=MODEL,
        prompt=PROMPT,
        max_tokens=NUM_TOKENS,
        temperature=0,
        stop=["never said", stop],
        stream=streams,
    )
    chunks = list(found) if streams else [found]
    assert "".join(chunk.choices[0].text for chunk in chunks) == expected.partition(stop)[0]
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_a_stop_token_ends_the_text_and_is_not_shown(
    client: OpenAI, austen: Path, expected: str
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(austen)
    ids = tokenizer(PROMPT).input_ids
    added = tokenizer(PROMPT + expected).input_ids[len(ids) :]
    found = client.completions.create(
        model=MODEL,
        prompt=PROMPT,
        max_tokens=NUM_TOKENS,
        temperature=0,
        extra_body={"stop_token_ids": [added[3]]},
    )
    shown = added[: added.index(added[3])]
    assert found.choices[0].text == tokenizer.decode([*ids, *shown])[len(PROMPT) :]
    assert found.choices[0].finish_reason == "stop"
    assert found.usage is not None
    assert found.usage.completion_tokens == len(shown) + 1


def test_a_seed_repeats_what_was_drawn(client: OpenAI) -> None:
    def drawn(seed: int | None) -> list[str]:
        found = client.completions.create(
            model=MODEL, prompt=PROMPT, max_tokens=16, temperature=1.0, n=2, seed=seed
        )
        return [choice.text for choice in found.choices]

    assert drawn(5) == drawn(5)
    assert drawn(5)[0] != drawn(5)[1]
    assert drawn(None) != drawn(None)


@pytest.mark.parametrize(
    ("error", "wrong", "message", "param", "code"),
    [
        (openai.NotFoundError, {"model": "gpt-5"}, "does not exist", "model", "model_not_found"),
        (openai.BadRequestError, {"temperature": -1}, "must be >= 0", "temperature", None),
        (openai.BadRequestError, {"top_p": 2}, "<= 1", "top_p", None),
        (openai.BadRequestError, {"n": 0}, "must be >= 1", "n", None),
        (openai.BadRequestError, {"n": 129}, "at most 128", "n", None),
        (openai.BadRequestError, {"max_tokens": 0}, "must be >= 1", "max_tokens", None),
        (openai.BadRequestError, {"prompt": ""}, "empty", "prompt", None),
        (openai.BadRequestError, {"prompt": []}, "empty", "prompt", None),
        (openai.BadRequestError, {"prompt": [5000]}, "< 2048", None, None),
        (openai.BadRequestError, {"prompt": {}}, "a list of token ids", "prompt", None),
        (openai.BadRequestError, {"extra_body": {"min_p": 2}}, "<= 1", "min_p", "invalid_value"),
        (
            openai.BadRequestError,
            {"extra_body": {"min_tokens": 2}},
            "tokens, 1",
            "min_tokens",
            None,
        ),
        (openai.BadRequestError, {"logprobs": 6}, "<= 5", "logprobs", "invalid_value"),
        (openai.BadRequestError, {"frequency_penalty": 2.5}, "<= 2", "frequency_penalty", None),
        (openai.BadRequestError, {"logit_bias": {"5": 101}}, "<= 100", "logit_bias", None),
        (openai.BadRequestError, {"logit_bias": {"x": 1}}, "a token id", "logit_bias", None),
        (openai.BadRequestError, {"suffix": "x"}, "not supported", "suffix", "unsup"),
        (openai.BadRequestError, {"best_of": 3}, "not supported", "best_of", "unsup"),
        (openai.BadRequestError, {"max_tokens": 10**6}, "512", None, "context_length_exceeded"),
        (openai.BadRequestError, {"extra_body": {"temprature": 1}}, "unknown", "temprature", None),
    ],
)
def test_each_mistake_becomes_the_clients_own_error(
    client: OpenAI,
    error: type[openai.APIStatusError],
    wrong: dict[str, object],
    message: str,
    param: str | None,
    code: str | None,
) -> None:
    ask: dict[str, object] = {"model": MODEL, "prompt": "Emma", "max_tokens": 1}
    with pytest.raises(error, match=message) as caught:
        client.completions.create(**(ask | wrong))
    if param is not None:
        assert caught.value.param == param
    if code is not None:
        assert (caught.value.code or "").startswith(code)


def test_values_that_change_nothing_are_taken(client: OpenAI) -> None:
    found = client.completions.create(
        model=MODEL,
        prompt="Emma",
        max_tokens=2,
        frequency_penalty=0,
        presence_penalty=0.0,
        logit_bias={},
        logprobs=None,
        best_of=1,
        stop=None,
        user="someone",
        extra_body={"repetition_penalty": 1.0, "min_p": 0, "ignore_eos": True, "top_k": -1},
    )
    assert len(found.choices) == 1


def test_a_template_that_refuses_a_message_is_the_clients_mistake(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="no robots"):
        client.chat.completions.create(
            model=MODEL, messages=[{"role": "robot", "content": "hello"}], max_tokens=1
        )
