"""Penalties, biases and structured output through the `openai` package, end to end."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import openai
import pytest
import torch
from openai import OpenAI
from support.reference import load_reference
from support.serving import Served
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

PROMPT = "It is a truth universally acknowledged, that"
MODEL = "austen-3m"
SCHEMA: dict[str, object] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 6},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
        "tags": {"type": "array", "items": {"enum": ["a", "b"]}, "minItems": 1, "maxItems": 2},
    },
    "required": ["name", "age", "tags"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def client(austen_server: Served) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{austen_server.url}/v1", api_key="none", max_retries=0) as found:
        yield found


@pytest.fixture(scope="module")
def tokenizer(austen: Path) -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(austen)


@pytest.fixture(scope="module")
def model(austen: Path) -> PreTrainedModel:
    return load_reference(austen)


def text_of(client: OpenAI, **ask: object) -> str:
    """Return the text of one completion."""
    common = {"model": MODEL, "prompt": PROMPT, "max_tokens": 20, "temperature": 0}
    return client.completions.create(**(common | ask)).choices[0].text


def test_a_repetition_penalty_does_what_that_of_transformers_does(
    client: OpenAI, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel
) -> None:
    prompt = tokenizer(PROMPT, return_tensors="pt")
    ids = model.generate(
        **prompt, do_sample=False, max_new_tokens=20, repetition_penalty=1.4, eos_token_id=[9999]
    )[0].tolist()
    found = text_of(client, extra_body={"repetition_penalty": 1.4, "ignore_eos": True})
    assert found == tokenizer.decode(ids)[len(PROMPT) :]
    assert found != text_of(client, extra_body={"ignore_eos": True})


def test_other_penalties_and_biases_follow_openais_formula(
    client: OpenAI, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel
) -> None:
    ids: list[int] = tokenizer(PROMPT).input_ids
    num_prompt, liked = len(ids), tokenizer(" truth").input_ids[-1]
    for _ in range(12):
        with torch.inference_mode():
            logits = model(torch.tensor([ids])).logits[0, -1].tolist()
        logits[liked] += 8
        for token, count in Counter(ids[num_prompt:]).items():
            logits[token] -= 1.5 + 0.8 * count
        ids.append(logits.index(max(logits)))
    found = text_of(
        client,
        max_tokens=12,
        presence_penalty=1.5,
        frequency_penalty=0.8,
        logit_bias={str(liked): 8},
        extra_body={"ignore_eos": True},
    )
    assert found == tokenizer.decode(ids)[len(PROMPT) :]
    assert liked in ids[num_prompt:]


def test_steered_texts_of_one_request_are_those_of_single_requests(client: OpenAI) -> None:
    prompts = [PROMPT, "Emma", "Mr. Darcy said"]
    more = {"repetition_penalty": 1.2, "guided_regex": "[A-Za-z ,]{20,60}[.]"}
    ask = {"model": MODEL, "max_tokens": 10, "temperature": 0.9, "presence_penalty": 0.5}
    together = client.completions.create(prompt=prompts, seed=7, extra_body=more, **ask)
    for index, prompt in enumerate(prompts):
        alone = client.completions.create(prompt=prompt, seed=7 + index, extra_body=more, **ask)
        assert alone.choices[0].text == together.choices[index].text


def test_a_chat_follows_the_json_schema_of_openais_form(client: OpenAI) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "p", "schema": SCHEMA, "strict": True}}
    choice = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": PROMPT}],
        max_tokens=200,
        seed=1,
        response_format=form,
    ).choices[0]
    assert choice.finish_reason == "stop"
    jsonschema.validate(json.loads(choice.message.content or ""), SCHEMA)


def test_a_text_that_is_cut_off_is_the_beginning_of_an_object(client: OpenAI) -> None:
    found = text_of(client, extra_body={"response_format": {"type": "json_object"}}, max_tokens=6)
    assert found.startswith("{")


@pytest.mark.parametrize(
    ("asked", "pattern"),
    [
        ({"guided_regex": "[A-Z][a-z]{2,8} (Bennet|Darcy)"}, "[A-Z][a-z]{2,8} (Bennet|Darcy)"),
        ({"guided_choice": ["yes", 'no "at" all']}, 'yes|no "at" all'),
        ({"guided_grammar": 'root ::= "a" "b"+ ("c" | "d")'}, "ab+[cd]"),
        ({"guided_json": json.dumps({"enum": [3, "x"]})}, '3|"x"'),
        ({"structured_outputs": {"regex": "^[0-9]{2}-[0-9]{2}$"}}, "[0-9]{2}-[0-9]{2}"),
        ({"structured_outputs": {"choice": ["é", "ü"]}}, "é|ü"),
        ({"structured_outputs": {"grammar": 'start: "x" /[yz]{2}/'}}, "x[yz]{2}"),
        ({"structured_outputs": {"json": {"type": "boolean"}}}, "true|false"),
    ],
)
def test_each_form_of_a_constraint_is_kept_to(
    client: OpenAI, asked: dict[str, object], pattern: str
) -> None:
    """The end of the text is a stop token, which is not shown."""
    found = client.completions.create(
        model=MODEL, prompt=PROMPT, max_tokens=60, temperature=1.0, seed=5, extra_body=asked
    ).choices[0]
    assert re.fullmatch(pattern, found.text.strip())
    assert found.finish_reason == "stop"


def test_a_stop_string_ends_a_constrained_text(client: OpenAI) -> None:
    assert text_of(client, stop="lo", extra_body={"guided_regex": "hello world"}) == "hel"


JSON_FORM = "response_format.json_schema.schema"


@pytest.mark.parametrize(
    ("asked", "message", "param"),
    [
        ({"guided_json": {"type": "foo"}}, "Invalid type: foo", "guided_json"),
        ({"guided_json": "{"}, "Expecting", "guided_json"),
        ({"guided_json": "[1]"}, "must be an object", "guided_json"),
        ({"guided_json": 5}, "must be a JSON schema", "guided_json"),
        # What cannot be enforced is refused, and not left out.
        ({"guided_json": {"type": "array", "uniqueItems": True}}, "uniqueItems", "guided_json"),
        ({"guided_json": {"$ref": "#/nowhere"}}, "does not exist", "guided_json"),
        ({"guided_json": {"const": "x" * 70_000}}, "at most 65,536", "guided_json"),
        ({"guided_regex": "["}, "unclosed", "guided_regex"),
        ({"guided_regex": "a(?=b)"}, "look-around", "guided_regex"),
        ({"guided_choice": []}, "at least one", "guided_choice"),
        ({"guided_grammar": "root ::= nothing"}, "nothing", "guided_grammar"),
        ({"structured_outputs": {"backend": "x"}}, "unknown", "structured_outputs.backend"),
        ({"guided_regex": "a", "guided_choice": ["b"]}, "combined", "guided_choice"),
        ({"guided_regex": "a", "ignore_eos": True}, "combined", "guided_regex"),
        ({"response_format": {"type": "xml"}}, "json_schema", "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "missing", JSON_FORM),
        ({"prompt_logprobs": 21}, "<= 20", "prompt_logprobs"),
        ({"prompt_logprobs": 1, "stream": True}, "stream", "prompt_logprobs"),
        ({"repetition_penalty": 0}, "> 0", "repetition_penalty"),
        ({"logit_bias": {"2048": 1}}, "a token id", "logit_bias"),
        ({"logit_bias": {"5": 1, "05": 2}}, "twice", "logit_bias"),
    ],
)
def test_a_constraint_that_cannot_be_kept_to_is_the_clients_mistake(
    client: OpenAI, asked: dict[str, object], message: str, param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        text_of(client, extra_body=asked)
    assert message in str(caught.value)
    assert caught.value.param == param
