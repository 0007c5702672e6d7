"""Constraints as clients may write them: a grammar comes of them, or an error with their field."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llguidance import LLMatcher, LLTokenizer

from hexplan_runtime.sampling.grammars import Grammars, read_vocabulary
from hexplan_runtime.serve.bodies import CompletionBody
from hexplan_runtime.serve.parameters.constraints import Constraints
from hexplan_runtime.serve.problems import ApiError

VOCAB, END = 2048, 1
KEYWORDS = [
    *("type", "properties", "items", "required", "enum", "const", "anyOf", "allOf", "oneOf"),
    *("$ref", "pattern", "format", "minimum", "maxLength", "minItems", "not", "x-guidance"),
    *("additionalProperties", "multipleOf", "patternProperties", "$defs", "string", "object"),
]
words = st.sampled_from(KEYWORDS) | st.text(max_size=5)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(-9, 9) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4),
    max_leaves=12,
)
schemas = st.dictionaries(words, values, max_size=4)
expressions = st.text("ab[](){}|*+?\\^$.,0123456789-é\n", max_size=30)


@pytest.fixture(scope="module")
def vocabulary(austen: Path) -> LLTokenizer:
    return read_vocabulary(austen, VOCAB)


@pytest.fixture(scope="module")
def constraints(vocabulary: LLTokenizer) -> Constraints:
    return Constraints(Grammars(lambda: vocabulary), (END,))


def grammar_of(constraints: Constraints, **asked: object) -> str:
    return asyncio.run(
        constraints.grammar_of(CompletionBody.model_validate({"prompt": ""} | asked))
    )


def holds(constraints: Constraints, field: str, asked: dict[str, object]) -> None:
    """Check that a constraint gives a grammar that begins, or an error that names its field."""
    try:
        grammar = grammar_of(constraints, **asked)
    except ApiError as error:
        assert error.status == 400
        assert error.param == field
        assert str(error).startswith(f"{field}: ")
    else:
        assert not LLMatcher.validate_grammar(grammar)


@settings(max_examples=30)
@given(schemas)
def test_any_object_is_a_schema_or_a_mistake(
    constraints: Constraints, schema: dict[str, object]
) -> None:
    holds(constraints, "guided_json", {"guided_json": schema})


@settings(max_examples=60)
@given(expressions)
def test_any_text_is_an_expression_or_a_mistake(constraints: Constraints, text: str) -> None:
    holds(constraints, "guided_regex", {"guided_regex": text})


@settings(max_examples=60)
@given(st.text("root:=\"ab'|()*+ \n[]/startx", max_size=40) | st.text(max_size=20))
def test_any_text_is_a_grammar_or_a_mistake(constraints: Constraints, text: str) -> None:
    asked = {"structured_outputs": {"grammar": f"root ::= {text}"}}
    holds(constraints, "structured_outputs.grammar", asked)


@given(st.lists(st.text(min_size=1, max_size=9), min_size=1, max_size=4))
def test_any_texts_can_be_choices(
    constraints: Constraints, vocabulary: LLTokenizer, choices: list[str]
) -> None:
    grammar = grammar_of(constraints, guided_choice=choices)
    for choice in choices:
        matcher = LLMatcher(vocabulary, grammar, log_level=0)
        assert matcher.consume_tokens(vocabulary.tokenize_str(choice))
        assert matcher.is_accepting()


@pytest.mark.parametrize("depth", [200, 20_000])
def test_a_deep_schema_is_a_mistake(constraints: Constraints, depth: int) -> None:
    deep = '{"items":' * depth + "{}" + "}" * depth
    with pytest.raises(ApiError, match="guided_json: "):
        grammar_of(constraints, guided_json=deep)


def test_a_model_without_a_token_for_the_end_takes_no_constraint(vocabulary: LLTokenizer) -> None:
    endless = Constraints(Grammars(lambda: vocabulary), ())
    with pytest.raises(ApiError, match="guided_regex: .*no token for the end"):
        grammar_of(endless, guided_regex="a")


def test_equal_constraints_are_worked_out_once(constraints: Constraints) -> None:
    schema = {"type": "integer", "minimum": 31}
    first = grammar_of(constraints, guided_json=schema)
    again = grammar_of(constraints, guided_json=json.loads(json.dumps(schema)))
    assert again is first
