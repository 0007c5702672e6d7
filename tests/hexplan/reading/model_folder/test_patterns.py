"""Lists of modules, against the functions of those who write them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.model_folders import small, write_folder
from transformers.quantizers.quantizers_utils import should_convert_module

from hexplan.reading.model_folder.folder import read_model_folder
from hexplan.reading.model_folder.matrices import matrices
from hexplan.reading.model_folder.patterns import (
    PatternError,
    of_compressed_tensors,
    of_regexes,
    of_transformers,
    of_wildcards,
)

LISTS = [
    ["lm_head"],
    ["self_attn"],
    ["model.layers.0.self_attn", "lm_head"],
    ["model.layers.1"],
    ["model.layers.*.self_attn"],
    ["model.layers.0.mlp.gate_proj", "o_proj"],
    ["q_proj", "k_proj", "v_proj"],
    ["mlp.gate"],
    ["model.layers.1[01]"],
    ["model.embed_tokens", "model.norm"],
    [],
]


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    config = small("Llama") | {"num_hidden_layers": 12}
    folder = write_folder(tmp_path_factory.mktemp("names"), config)
    return [matrix.name for matrix in matrices(read_model_folder(folder))]


@pytest.mark.parametrize("patterns", LISTS, ids=str)
def test_a_list_of_transformers_skips_what_transformers_skips(
    patterns: list[str], names: list[str]
) -> None:
    listed = of_transformers(patterns)
    assert [listed.has(name) for name in names] == [
        not should_convert_module(name, patterns) for name in names
    ]


@given(
    st.lists(
        st.lists(
            st.sampled_from(
                ["model", "layers", "0", "1", "11", "self_attn", "q_proj", "*", "ml", ""]
            ),
            min_size=1,
            max_size=4,
        ).map(".".join),
        max_size=3,
    )
)
def test_any_list_of_paths_skips_what_transformers_skips(patterns: list[str]) -> None:
    names = [
        f"model.layers.{i}.{m}" for i in (0, 1, 11) for m in ("self_attn.q_proj", "mlp.up_proj")
    ]
    try:
        skipped = [not should_convert_module(name, patterns) for name in names]
        listed = of_transformers(patterns)
    except (re.error, PatternError):
        return
    assert [listed.has(name) for name in names] == skipped


@pytest.mark.parametrize(
    ("entries", "named"),
    [
        (["model.layers.0.self_attn.q_proj"], {"model.layers.0.self_attn.q_proj"}),
        ([r"re:.*lm_head"], {"lm_head"}),
        (
            [r"re:model\.layers\.0\.mlp\..*"],
            {f"model.layers.0.mlp.{n}_proj" for n in ("gate", "up", "down")},
        ),
        (["lm_head", "layers.0"], {"lm_head"}),  # whole names only
        ([], set()),
    ],
)
def test_compressed_tensors_names_modules_or_matches_regexes(
    entries: list[str], named: set[str], names: list[str]
) -> None:
    listed = of_compressed_tensors(entries)
    assert {name for name in names if listed.has(name)} == named


def test_linear_of_compressed_tensors_is_all_but_the_embedding(names: list[str]) -> None:
    listed = of_compressed_tensors(["Linear"])
    assert {name for name in names if not listed.has(name)} == {"model.embed_tokens"}


@pytest.mark.parametrize(
    ("entries", "count"),
    [
        (["lm_head"], 1),
        (["model.layers.0*"], 7),  # layer 0, and no other begins with 0
        (["model.layers.1*"], 3 * 7),  # 1, 10 and 11
        (["model.layers.1"], 7),
        (["*.self_attn"], 12 * 4),
        (["*self_attn*"], 12 * 4),
    ],
)
def test_wildcards_of_modelopt_stand_for_anything(
    entries: list[str], count: int, names: list[str]
) -> None:
    listed = of_wildcards(entries)
    assert sum(listed.has(name) for name in names) == count


def test_names_inside_a_wrapper_count_too() -> None:
    name = "model.layers.0.self_attn.q_proj"
    for spelled in (f"language_model.{name}", "model.language_model.layers.0.self_attn.q_proj"):
        assert of_compressed_tensors([spelled]).has(name)


@pytest.mark.parametrize("entries", ["lm_head", [1], {"a": 1}, [None]])
def test_a_list_that_is_none_is_refused(entries: object) -> None:
    with pytest.raises(PatternError, match="needed a list of names"):
        of_transformers(entries)


@pytest.mark.parametrize(
    "pattern", ["(a+)+b", "(x|y)*z", r"(.)\1", "(?=a)", "a*b*c*d*e*f*", "[", "x" * 301]
)
def test_a_pattern_that_may_take_for_ever_is_refused(pattern: str) -> None:
    with pytest.raises(PatternError):
        of_regexes([pattern])
