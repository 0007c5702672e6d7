"""Steering: what a row draws depends on its own request alone, however often it starts over."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from llguidance import LLMatcher
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from hexplan_runtime.batch import Row
from hexplan_runtime.request import Penalties, Request, Sampling, TokenBias
from hexplan_runtime.sampling.grammars import Grammars, read_vocabulary
from hexplan_runtime.sampling.steering import Steering
from hexplan_runtime.stage.sampling import sample

VOCAB = 2048
END = 1
SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "pattern": "^[A-Z][a-z]{0,5}$"},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
        "tags": {"type": "array", "items": {"enum": ["a", "b", "c"]}, "minItems": 1, "maxItems": 2},
    },
    "required": ["name", "age", "tags"],
    "additionalProperties": False,
}
JSON = LLMatcher.grammar_from_json_schema(SCHEMA, overrides={"whitespace_flexible": False})
REGEX = LLMatcher.grammar_from_regex("[a-f]{3,9}(-[0-9]+)?")


@pytest.fixture(scope="module")
def grammars(austen: Path) -> Grammars:
    return Grammars(lambda: read_vocabulary(austen, VOCAB))


@pytest.fixture(scope="module")
def tokenizer(austen: Path) -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(austen)


def logits_after(ids: list[int]) -> torch.Tensor:
    """Stand in for a model: logits that depend on all tokens so far."""
    seed = hash(tuple(ids)) % 2**31
    return 3 * torch.randn(VOCAB, generator=torch.Generator().manual_seed(seed))


def run(steering: Steering, requests: list[Request], texts: list[list[int]], steps: int) -> None:
    """Draw tokens for texts, each a prompt and what follows it, in steps of all together."""
    samplings = [request.row_sampling(ids) for request, ids in zip(requests, texts, strict=True)]
    for _ in range(steps):
        going = [i for i, ids in enumerate(texts) if END not in ids]
        if not going:
            return
        rows = [Row(i, 0, len(texts[i]) - 1, 1, 999, samplings[i], samples=True) for i in going]
        logits = torch.stack([logits_after(texts[i]) for i in going])
        picked = sample(steered := steering.steered(logits, rows), rows)
        assert steered.isnan().sum() == 0
        steering.note(rows, picked)
        for i, token in zip(going, picked.tolist(), strict=True):
            texts[i].append(token)


samplings = st.builds(
    Sampling,
    temperature=st.sampled_from([0.0, 0.7, 1.5]),
    top_p=st.sampled_from([1.0, 0.9]),
    seed=st.integers(0, 99),
    penalties=st.builds(
        Penalties, st.sampled_from([1.0, 1.3]), st.sampled_from([0.0, 0.7]), st.just(0.0)
    ),
    biases=st.just(()) | st.just((TokenBias(30, 9.0), TokenBias(31, -100.0))),
    grammar=st.sampled_from(["", JSON, REGEX]),
)


@settings(deadline=None, max_examples=20)
@given(st.lists(samplings, min_size=1, max_size=4), st.integers(0, 8))
def test_a_request_draws_the_same_alone_among_others_and_after_it_made_way(
    grammars: Grammars, made: list[Sampling], stop: int
) -> None:
    requests = [Request((5 + i, 30, 9), 99, sampling) for i, sampling in enumerate(made)]
    together = [list(request.prompt_ids) for request in requests]
    run(Steering(grammars), requests, together, 12)
    for request, expected in zip(requests, together, strict=True):
        alone, steering = list(request.prompt_ids), Steering(grammars)
        run(steering, [request], [alone], stop)
        steering.forget(0)
        run(steering, [request], [alone], 12 - stop)
        assert alone == expected


@pytest.mark.parametrize("seed", range(6))
def test_a_text_follows_its_schema_whatever_the_model_says(
    grammars: Grammars, tokenizer: PreTrainedTokenizerBase, seed: int
) -> None:
    request = Request((5,), 99, Sampling(1.0, seed=seed, grammar=JSON))
    ids = [5]
    run(Steering(grammars), [request], [ids], 90)
    assert ids[-1] == END
    jsonschema.validate(json.loads(tokenizer.decode(ids[1:-1])), SCHEMA)


@pytest.mark.parametrize("seed", range(6))
def test_a_text_matches_its_expression_whatever_the_model_says(
    grammars: Grammars, tokenizer: PreTrainedTokenizerBase, seed: int
) -> None:
    request = Request((5,), 99, Sampling(1.0, seed=seed, grammar=REGEX))
    ids = [5]
    run(Steering(grammars), [request], [ids], 90)
    assert ids[-1] == END
    assert re.fullmatch("[a-f]{3,9}(-[0-9]+)?", tokenizer.decode(ids[1:-1]))


def test_a_text_that_can_only_end_does_so_before_its_min_tokens(grammars: Grammars) -> None:
    grammar = LLMatcher.grammar_from_regex("no")
    for temperature in (0.0, 1.0):
        request = Request(
            (5,), 30, Sampling(temperature, grammar=grammar), stop_ids=(END,), min_tokens=20
        )
        ids = [5]
        run(Steering(grammars), [request], [ids], 30)
        assert ids[-1] == END


def test_rows_that_ask_for_nothing_keep_their_logits(grammars: Grammars) -> None:
    logits = torch.randn(2, VOCAB)
    plain = Row(0, 0, 3, 1, 9, Sampling(), samples=True)
    assert Steering(grammars).steered(logits, [plain, plain]) is logits
    biased = Row(1, 0, 3, 1, 9, Sampling(biases=(TokenBias(3, 5.0),)), samples=True)
    steered = Steering(grammars).steered(logits.bfloat16(), [plain, biased])
    assert torch.equal(steered[0], logits.bfloat16()[0].float())
    assert steered[1, 3] == logits.bfloat16()[1, 3].float() + 5
