"""Tokenizers that transformers cannot read, or not use: the file is named, and the field."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hexplan.errors import InputError
from hexplan_runtime.model.tokenizer_files import load_tokenizer
from hexplan_runtime.text import GenerationSettings, make_requests, read_tokenizer

AUSTEN = Path(__file__).parents[3] / "models" / "austen-3m"
CONFIG = "config.json"
TOKENIZER = "tokenizer.json"
BESIDE = "tokenizer_config.json"
ADDED = {"id": -1, "content": "x", "special": True}


def stated(name: str) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((AUSTEN / name).read_text())
    return values


def folder_with(tmp_path: Path, name: str, content: object) -> Path:
    """Return a tokenizer's folder with one file of another content."""
    for kept in (CONFIG, TOKENIZER, BESIDE):
        (tmp_path / kept).write_bytes((AUSTEN / kept).read_bytes())
    text = content if isinstance(content, str) else json.dumps(content)
    (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "changes", "field"),
    [
        (BESIDE, {"tokenizer_class": 5}, "tokenizer_class"),
        (BESIDE, {"bos_token": 7}, "bos_token"),
        (BESIDE, {"chat_template": [7]}, "chat_template"),
        (BESIDE, {"model_max_length": "x"}, "model_max_length"),
        (BESIDE, {"added_tokens_decoder": {"x": {"content": "a"}}}, "added_tokens_decoder"),
        (CONFIG, {"rms_norm_eps": "x"}, "rms_norm_eps"),
    ],
)
def test_a_field_that_transformers_refuses_is_named(
    tmp_path: Path, name: str, changes: dict[str, Any], field: str
) -> None:
    folder = folder_with(tmp_path, name, stated(name) | changes)
    with pytest.raises(InputError, match=rf"{name}: {field}: transformers cannot read") as caught:
        load_tokenizer(folder)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (CONFIG, "{"),
        (BESIDE, "{,"),
        (BESIDE, "[1]"),
        ("special_tokens_map.json", "{"),
        ("added_tokens.json", "{"),
        ("added_tokens.json", '{"<x>": "y"}'),
    ],
)
def test_a_file_beside_the_tokenizer_is_named_if_it_is_the_wrong_one(
    tmp_path: Path, name: str, text: str
) -> None:
    with pytest.raises(InputError, match=name):
        load_tokenizer(folder_with(tmp_path, name, text))


def test_a_chat_template_that_is_no_text_is_named(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, TOKENIZER, stated(TOKENIZER))
    (folder / "chat_template.jinja").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match=r"chat_template\.jinja: transformers cannot read"):
        load_tokenizer(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"decoder": {"type": "no such"}},
        {"added_tokens": [ADDED]},
        {"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "("}, "behavior": "Isolated"}},
        {"model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "[U]"}},  # on first use
    ],
)
def test_a_tokenizer_that_cannot_be_used_is_refused_before_any_prompt(
    tmp_path: Path, changes: Mapping[str, Any]
) -> None:
    folder = folder_with(tmp_path, TOKENIZER, stated(TOKENIZER) | dict(changes))
    with pytest.raises(InputError, match=rf"{TOKENIZER}: transformers cannot read"):
        load_tokenizer(folder)


def test_a_prompt_that_the_tokenizer_cannot_encode_is_named(tmp_path: Path) -> None:
    words = {word: index for index, word in enumerate(["It", "is", "1", "sample."])}
    small = {"type": "WordLevel", "vocab": words, "unk_token": "[U]"}
    changes = {"model": small, "pre_tokenizer": {"type": "WhitespaceSplit"}, "decoder": None}
    folder = folder_with(tmp_path, TOKENIZER, stated(TOKENIZER) | changes | {"added_tokens": []})
    beside = {"tokenizer_class": "PreTrainedTokenizerFast"}
    (folder / BESIDE).write_text(json.dumps(beside))
    tokenizer = read_tokenizer(folder)
    with pytest.raises(InputError, match="prompt 1: the tokenizer cannot encode it"):
        make_requests(tokenizer, ["It is", "Emma"], GenerationSettings(), ())


ODD = st.none() | st.booleans() | st.integers(-2, 2**40) | st.floats() | st.text(max_size=5)
NESTED = st.recursive(
    ODD, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner)
)


@pytest.mark.slow
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from([BESIDE, TOKENIZER]),
    field=st.integers(0, 30),
    value=NESTED,
)
def test_any_field_of_a_tokenizer_is_read_or_refused_in_words(
    tmp_path: Path, name: str, field: int, value: object
) -> None:
    fields = [*stated(name), "chat_template", "pad_token", "added_tokens_decoder"]
    changes = {fields[field % len(fields)]: value}
    folder = folder_with(tmp_path, name, stated(name) | changes)
    try:
        load_tokenizer(folder)
    except InputError as error:
        assert f"{folder}" in error.message
        assert "\n" not in error.message
