"""Formats of a quantised model by module, and the one format that plans work with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from hexplan.model import KvDtype, Model, WeightFormat
from hexplan.reading.model_folder.matrices import (
    Matrix,
    average_bits,
    matrices,
    matrix_bits,
)
from hexplan.reading.model_folder.patterns import ModuleList


def _all(_name: str) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Group:
    """Modules that are stored in one format."""

    form: WeightFormat
    has: Callable[[str], bool] = _all
    """Whether it has a module of this name."""


@dataclass(frozen=True, slots=True)
class Quantisation:
    """How the modules of a model are quantised."""

    groups: tuple[Group, ...]
    """The first group that has a module decides its format."""
    skipped: tuple[ModuleList, ...] = ()
    """Modules that keep the model's dtype."""
    kv_dtype: KvDtype | None = None
    """Type of the KV cache that the checkpoint was made for."""

    def form_of(self, matrix: Matrix) -> WeightFormat | None:
        """Return the format of a matrix, or None if it keeps the model's dtype."""
        if matrix.part == "embedding" or any(skip.has(matrix.name) for skip in self.skipped):
            return None
        return next((group.form for group in self.groups if group.has(matrix.name)), None)

    def weight_format(self, model: Model) -> WeightFormat | None:
        """Return the format to plan with: that of most weights, with the average bits of the parts.

        The averages are left out where all layers, and nothing else, have this format. None means
        that no module is quantised.
        """
        held = [(matrix, self.form_of(matrix)) for matrix in matrices(model)]
        weights: Counter[WeightFormat] = Counter()
        for matrix, form in held:
            if form is not None:
                weights[form] += matrix.numbers
        if not weights:
            return None
        most = weights.most_common(1)[0][0]
        expected = {True: most, False: None}
        if all(form == expected[matrix.is_in_layer] for matrix, form in held):
            return most
        forms = {matrix.name: form for matrix, form in held}
        plain = Fraction(8 * model.dtype_bytes)

        def bits_of(matrix: Matrix) -> Fraction:
            form = forms[matrix.name]
            return plain if form is None else matrix_bits(form, matrix)

        return most.model_copy(update={"average_bits": average_bits(model, bits_of)})
