"""The formats of quantised weights, against published sizes of files and definitions."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest
from support.slow import few_are_fast
from support.specs import spec_of, two_nodes

from hexplan import catalog
from hexplan.catalog.shipped import find_model
from hexplan.catalog.weight_formats import find_format, known_formats
from hexplan.check import check_plan
from hexplan.cost.weights import ShardSizes, layer_bytes, token_parameters, weights_bytes
from hexplan.errors import SpecError
from hexplan.model import Model, PartBits
from hexplan.plan import Plan
from hexplan_solver import SolveOptions, solve

ROWS = json.loads((Path(catalog.__file__).parent / "data" / "weight_formats.json").read_text())
ROWS = ROWS["formats"]
GGUF_GIB = {
    "q8_0": 7.95,
    "q6_k": 6.14,
    "q5_k_m": 5.33,
    "q5_k_s": 5.21,
    "q4_k_m": 4.58,
    "q4_k_s": 4.36,
    "iq4_xs": 4.17,
    "q3_k_m": 3.74,
    "q2_k": 2.95,
}
"""Files of Llama-3.1-8B, by llama.cpp's tools/quantize/README.md (Q3_K_M: 3.9960 bits)."""


def model(name: str, weights: str) -> Model:
    listed = find_model(name)
    assert listed is not None
    return listed.model_copy(update={"weights": find_format(weights)})


def whole(model: Model) -> ShardSizes:
    return ShardSizes(model.kv_heads, model.ffn, model.vocab)


@pytest.mark.parametrize(("name", "gib"), GGUF_GIB.items())
def test_a_gguf_format_has_the_published_size_of_a_file(name: str, gib: float) -> None:
    chosen = model("llama-3.1-8b", name)
    found = weights_bytes(chosen, whole(chosen), (0, chosen.layers)) / 2**30
    assert found == pytest.approx(gib, rel=0.002)


def test_a_gguf_file_of_70_b_has_the_published_size() -> None:
    """The README says 43.1 GB; there, one projection gets fewer bits than in the 8 B model."""
    chosen = model("llama-3.1-70b", "q4_k_m")
    found = weights_bytes(chosen, whole(chosen), (0, chosen.layers)) / 1e9
    assert found == pytest.approx(43.1, rel=0.02)


@pytest.mark.parametrize("row", [r for r in ROWS if r["name"] not in GGUF_GIB | {"q4_0": 0}])
def test_a_layer_has_the_bits_that_the_row_states(row: dict[str, object]) -> None:
    chosen = model("llama-3.1-70b", str(row["name"]))
    sizes = whole(chosen)
    bits = 8 * layer_bytes(chosen, sizes) / token_parameters(chosen, sizes)
    stated = row["bits_per_weight"]
    assert isinstance(stated, float | int)
    assert stated - 0.001 < bits < stated + 0.006  # norms, and scales of whole rows


@pytest.mark.parametrize(
    ("name", "bits"),
    [
        ("awq", "4.15625"),  # groups of 128: 4 + (16 + 4) / 128
        ("gptq", "4.15625"),
        ("int4", "4.15625"),
        ("w4a16", "4.125"),  # symmetric: 4 + 16 / 128
        ("nvfp4", "4.5"),
        ("mxfp4", "4.25"),
        ("q8_0", "8.5"),
        ("q6_k", "6.5625"),
        ("bnb-4bit", "4.5"),
        ("int8", "8"),
        ("w8a8", "8"),
    ],
)
def test_bits_count_scales_and_zero_points(name: str, bits: str) -> None:
    known = find_format(name)
    assert known is not None
    assert known.bits_per_weight == Decimal(bits)


@pytest.mark.parametrize("name", ["Q4_K_M", "q4-k-m", "AWQ", "fp8-block", "NF4", "w8a8-int8"])
def test_a_format_answers_to_its_aliases_in_any_case(name: str) -> None:
    assert find_format(name) is not None


def test_no_two_formats_share_a_name_and_each_names_its_source() -> None:
    names = [name.casefold() for row in ROWS for name in (row["name"], *row["aliases"])]
    assert len(names) == len(set(names))
    assert known_formats() == tuple(row["name"] for row in ROWS)
    assert all(len(row["source"]) > 10 for row in ROWS)


@pytest.mark.parametrize(
    "name",
    few_are_fast(["nvfp4", "q4_k_m", "awq", "mxfp4", "q8_0", "gptq-int3", "w8a8"], 2),
)
def test_a_plan_in_a_format_passes_the_check(name: str) -> None:
    spec = spec_of(two_nodes("llama-2-7b", f"{{name: llama-2-7b, weights: {name}}}"))
    plan = solve(spec, SolveOptions(time_limit_s=5))
    assert check_plan(plan) == ()
    read = Plan.model_validate_json(plan.model_dump_json(by_alias=True))
    assert read == plan
    assert check_plan(read) == ()


def test_the_check_recounts_average_bits() -> None:
    spec = spec_of(two_nodes("llama-2-7b", "{name: llama-2-7b, weights: q4_k_m}"))
    plan = solve(spec, SolveOptions(time_limit_s=5))
    form = plan.model.weights
    assert form is not None
    assert form.average_bits is not None
    for part in PartBits.model_fields:
        less = getattr(form.average_bits, part) - Decimal("0.5")
        bits = form.average_bits.model_copy(update={part: less})
        changed = form.model_copy(update={"average_bits": bits})
        wrong = plan.model_copy(
            update={"model": plan.model.model_copy(update={"weights": changed})}
        )
        assert "HEX302" in {violation.rule for violation in check_plan(wrong)}, part


def test_a_tied_table_has_the_bits_of_an_output_head() -> None:
    text = two_nodes("llama-2-7b", "{name: qwen3-4b, weights: q4_k_m}")
    form = spec_of(text).model.weights
    assert form is not None
    assert form.average_bits is not None
    assert form.average_bits.embedding == form.average_bits.head == Decimal("6.5625")


def test_a_tied_table_of_two_sizes_is_refused() -> None:
    numbers = (
        "{name: tiny, family: qwen3, layers: 4, hidden: 256, heads: 4, kv_heads: 2, head_dim: 64,"
        " ffn: 512, vocab: 32, tied_embeddings: true, dtype: float16, max_context: 4096,"
        " weights: {name: int4, average_bits: {attention: 4, network: 4, embedding: 4, head: 6}}}"
    )
    with pytest.raises(SpecError, match="must be equal, as tied embeddings are one table"):
        spec_of(two_nodes("llama-2-7b", numbers))


def test_a_model_in_numbers_may_name_its_format() -> None:
    numbers = (
        "{name: tiny, family: qwen3, layers: 4, hidden: 256, heads: 4, kv_heads: 2, head_dim: 64,"
        " ffn: 512, vocab: 32, dtype: float16, max_context: 4096, weights: %s}"
    )
    assert spec_of(two_nodes("llama-2-7b", numbers % "nvfp4")).model.weights == find_format("nvfp4")
    with pytest.raises(SpecError, match="weights: found 'nvfp5', needed `fp8`"):
        spec_of(two_nodes("llama-2-7b", numbers % "nvfp5"))


def test_a_format_says_in_words_what_it_means() -> None:
    words = [form.words for name in ("int4", "awq", "q4_k_m") if (form := find_format(name))]
    assert words == [
        "int4 weights of 4.156 bits",
        "awq weights of 4.156 bits",
        "q4_k_m weights of 4.844 bits",
    ]
