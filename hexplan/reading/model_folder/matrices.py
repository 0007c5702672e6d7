"""The large matrices of a model by their names in a checkpoint, and what they take on average."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from math import ceil
from typing import TYPE_CHECKING, Literal

from hexplan.model import PartBits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from hexplan.model import Model, WeightFormat

Part = Literal["attention", "network", "embedding", "head"]
PARTS: tuple[Part, ...] = ("attention", "network", "embedding", "head")
_MILLION = 10**6


@dataclass(frozen=True, slots=True)
class Matrix:
    """A matrix of a model, or one that stands for all like it in its layer."""

    name: str
    """The module that holds it, as in the checkpoint."""
    part: Part
    rows: int
    """Output channels."""
    columns: int
    """Input channels."""
    count: int = 1
    """How many it stands for: one of all experts, which are stored alike."""

    @property
    def numbers(self) -> int:
        """Weights in all of them."""
        return self.count * self.rows * self.columns

    @property
    def is_in_layer(self) -> bool:
        """Whether it belongs to a layer, not to the ends of the model."""
        return self.part in ("attention", "network")


def matrices(model: Model) -> Iterator[Matrix]:
    """Yield all large matrices of a model; a tied head is the embedding, and comes once."""
    yield Matrix("model.embed_tokens", "embedding", model.vocab, model.hidden)
    if not model.tied_embeddings:
        yield Matrix("lm_head", "head", model.vocab, model.hidden)
    keys, queries = model.kv_heads * model.head_dim, model.heads * model.head_dim
    for layer in range(model.layers):
        path = f"model.layers.{layer}"
        for name, rows in (("q_proj", queries), ("k_proj", keys), ("v_proj", keys)):
            yield Matrix(f"{path}.self_attn.{name}", "attention", rows, model.hidden)
        yield Matrix(f"{path}.self_attn.o_proj", "attention", model.hidden, queries)
        yield from _network(model, path)


def _network(model: Model, path: str) -> Iterator[Matrix]:
    count = model.experts.total if model.experts else 1
    inner, names = "mlp", ("gate_proj", "up_proj", "down_proj")
    if model.family == "mixtral":
        inner, names = "block_sparse_moe.experts.0", ("w1", "w3", "w2")
    elif model.experts is not None:
        inner = "mlp.experts.0"
    *rising, falling = names if model.gated else names[1:]
    for name in rising:
        yield Matrix(f"{path}.{inner}.{name}", "network", model.ffn, model.hidden, count)
    yield Matrix(f"{path}.{inner}.{falling}", "network", model.hidden, model.ffn, count)


def numbers_by_part(model: Model) -> Mapping[Part, int]:
    """Count the weights of each part; a tied head has none of its own."""
    numbers: dict[Part, int] = dict.fromkeys(PARTS, 0)
    for matrix in matrices(model):
        numbers[matrix.part] += matrix.numbers
    return numbers


def matrix_bits(form: WeightFormat, matrix: Matrix) -> Fraction:
    """Return the bits of a weight of one matrix, with its share of scales and zero points."""
    down = ceil(Fraction(matrix.rows, form.block_rows or matrix.rows))
    across = ceil(Fraction(matrix.columns, form.block_columns or matrix.columns))
    scales = down * across * (form.scale_bits + form.zero_bits)
    return form.bits + Fraction(scales, matrix.rows * matrix.columns)


def average_bits(model: Model, bits_of: Callable[[Matrix], Fraction]) -> PartBits:
    """Return the average bits of each part, if a matrix has so many bits a weight."""
    bits: dict[Part, Fraction] = dict.fromkeys(PARTS, Fraction(0))
    for matrix in matrices(model):
        bits[matrix.part] += bits_of(matrix) * matrix.numbers
    numbers = numbers_by_part(model)
    return part_bits({part: bits[part] / numbers[part] for part in PARTS if numbers[part]})


def part_bits(bits: Mapping[Part, Fraction]) -> PartBits:
    """Return bits rounded up to millionths; a tied head has those of the embedding."""
    rounded = {part: Decimal(ceil(value * _MILLION)) / _MILLION for part, value in bits.items()}
    return PartBits(**{"head": rounded["embedding"], **rounded})
