"""What a checkpoint's tensors say of its format: their sizes are the truth, whatever the config."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from hexplan.model import Model, NumberType, WeightFormat
from hexplan.reading.model_folder.headers import Tensor
from hexplan.reading.model_folder.matrices import PARTS, Part, numbers_by_part, part_bits

_PLAIN = ("F64", "F32", "F16", "BF16")
"""Types that are read into the model's dtype."""
_PREFIX = r"(?:model\.|language_model\.|language_model\.model\.|model\.language_model\.)?"
_LAYER = re.compile(rf"{_PREFIX}layers\.(?P<layer>\d+)\.(?P<rest>.+)")
_TABLE = re.compile(rf"{_PREFIX}(?P<table>embed_tokens|lm_head)\.(?P<field>.+)")
_MATRIX = re.compile(
    r"(?P<module>(?:.+\.)?(?:(?P<attention>[qkvo]_proj|qkv_proj)"
    r"|gate_proj|up_proj|down_proj|gate_up_proj|w[123]))\.(?P<field>.+)"
)
_INTEGERS: tuple[NumberType, ...] = ("int2", "int3", "int4", "int5", "int6", "int8")


@dataclass(slots=True)
class _Module:
    """The tensors that make up one matrix."""

    part: Part
    layer: str = ""
    tensors: list[Tensor] = field(default_factory=list)

    @property
    def is_quantised(self) -> bool:
        return any(tensor.dtype not in _PLAIN for tensor in self.tensors)

    def held_bytes(self, dtype_bytes: int) -> int:
        """Return its bytes in memory: as stored if quantised, else in the model's dtype."""
        if self.is_quantised:
            return sum(tensor.stored_bytes for tensor in self.tensors)
        return dtype_bytes * sum(tensor.numbers for tensor in self.tensors)


def stored_format(
    tensors: Mapping[str, Tensor], model: Model, stated: WeightFormat | None
) -> WeightFormat | None:
    """Return the format in which a checkpoint stores a model, by the bytes of its tensors.

    Parameters
    ----------
    stated
        The format that a config states; its type, its blocks and its operands are kept.

    Returns
    -------
    WeightFormat | None
        None if no matrix is quantised, or if tensors are missing or have names that are unknown.
    """
    modules = tuple(_modules(tensors).values())
    if not any(module.is_quantised for module in modules):
        return None
    layers = {module.layer for module in modules if module.layer}
    held: dict[Part, int] = dict.fromkeys(PARTS, 0)
    for module in modules:
        held[module.part] += module.held_bytes(model.dtype_bytes)
    numbers = numbers_by_part(model)
    bits = {part: Fraction(8 * held[part], numbers[part]) for part in PARTS if numbers[part]}
    if len(layers) != model.layers or not all(0 < value <= 64 for value in bits.values()):
        return None
    form = stated or WeightFormat(name=_number_type(modules, bits["network"]))
    return form.model_copy(update={"average_bits": part_bits(bits)})


def _modules(tensors: Mapping[str, Tensor]) -> Mapping[str, _Module]:
    modules: dict[str, _Module] = {}
    for name, module, key in _placed(tensors):
        modules.setdefault(key, module).tensors.append(tensors[name])
    return modules


def _placed(names: Iterable[str]) -> Iterator[tuple[str, _Module, str]]:
    """Yield each tensor of a matrix with its module; biases, norms and routers are none."""
    for name in names:
        if table := _TABLE.fullmatch(name):
            kind, part_field = table["table"], table["field"]
            part: Part = "embedding" if kind == "embed_tokens" else "head"
            module, key = _Module(part), kind
        elif layer := _LAYER.fullmatch(name):
            matrix = _MATRIX.fullmatch(layer["rest"])
            if matrix is None:
                continue
            part_field = matrix["field"]
            part = "attention" if matrix["attention"] else "network"
            module = _Module(part, layer["layer"])
            key = f"{layer['layer']}.{matrix['module']}"
        else:
            continue
        if part_field != "bias":
            yield name, module, key


def _number_type(modules: Iterable[_Module], bits: Fraction) -> NumberType:
    """Guess the type of numbers from how they are stored; packed integers by their bits."""
    kinds = {tensor.dtype for module in modules for tensor in module.tensors}
    if bits >= 8:
        return "fp8" if any(kind.startswith("F8") for kind in kinds) else "int8"
    whole = [name for name in _INTEGERS if int(name[-1]) <= bits]
    return whole[-1] if whole else "int2"
