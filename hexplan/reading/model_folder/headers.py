"""The tensors of a folder's safetensors files, from their headers alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

from hexplan.errors import InputError, SpecError
from hexplan.files.bounded import open_to_read, read_bounded
from hexplan.files.json_reader import JsonValue, parse_json

CONFIG_NAME = "config.json"
MAX_CONFIG_BYTES = 16 << 20
"""The largest config.json that is read; configs that list all modules have a few MB."""
SINGLE = "model.safetensors"
INDEX = f"{SINGLE}.index.json"
MAX_INDEX_BYTES = 64 << 20
"""Indices of models with thousands of experts have about 10 MB."""
MAX_HEADER_BYTES = 64 << 20
"""safetensors itself refuses headers above 100 MB."""
MAX_FILES = 4096
_LENGTH_BYTES = 8


@dataclass(frozen=True, slots=True)
class Tensor:
    """A stored tensor."""

    dtype: str
    """As safetensors calls it: `BF16`, `F8_E4M3`, `I32`, ..."""
    numbers: int
    """Elements of its shape."""
    stored_bytes: int
    file: Path
    first_byte: int
    """Where its bytes begin in the file."""


def read_tensors(folder: Path) -> Mapping[str, Tensor] | None:
    """Return all tensors of a folder by name; None if it holds no weights, or not all of them.

    Reads the headers of the files that `weight_file_names` finds. A file that is missing, cut off,
    or a pointer of Git LFS counts as not downloaded yet.

    Raises
    ------
    SpecError
        If a header or the index is no JSON of its kind, or two files hold the same tensor. Quotes
        nothing but names of files: a cluster.yaml can name any folder.
    """
    tensors: dict[str, Tensor] = {}
    names = weight_file_names(folder)
    for name in names:
        header = _header(folder / name)
        if header is None:
            return None
        twice = next((tensor for tensor in header if tensor in tensors), None)
        if twice is not None:
            problem = f"holds a tensor that {tensors[twice].file.name} holds, too"
            hint = "remove one of the files, or download the folder again"
            raise SpecError(str(folder / name), problem, hint=hint)
        tensors |= header
    return tensors or None


def weight_file_names(folder: Path) -> tuple[str, ...]:
    """Return the weight files of a folder: the single file, or else those that the index names.

    Which weight an index places in which file does not count. Both are as in transformers.

    Raises
    ------
    SpecError
        If the index names no files, or others than safetensors files beside it.
    """
    if (folder / SINGLE).is_file():
        return (SINGLE,)
    if not (folder / INDEX).is_file():
        return ()
    index = _parsed(read_bounded(folder / INDEX, MAX_INDEX_BYTES), folder / INDEX)
    listed = index.get("weight_map")
    names = sorted({str(name) for name in listed.values()}) if isinstance(listed, dict) else []
    if not 0 < len(names) <= MAX_FILES or not all(map(_is_weight_file, names)):
        problem = (
            f"needed a `weight_map` with the names of 1 to {MAX_FILES} safetensors files beside it"
        )
        raise SpecError(str(folder / INDEX), problem)
    return tuple(names)


def _is_weight_file(name: str) -> bool:
    return Path(name).name == name and name.endswith(".safetensors")


def _header(file: Path) -> Mapping[str, Tensor] | None:
    """Return the tensors of one file, or None if the file is not there as a whole."""
    try:
        with open_to_read(file) as opened:
            size_bytes = file.stat().st_size
            length = int.from_bytes(opened.read(_LENGTH_BYTES), "little")
            if size_bytes < _LENGTH_BYTES or length > size_bytes - _LENGTH_BYTES:
                return None
            if length > MAX_HEADER_BYTES:
                problem = f"found a header of {length} bytes, needed at most {MAX_HEADER_BYTES}"
                raise SpecError(str(file), problem)
            text = opened.read(length).decode()
    except OSError:
        return None
    except UnicodeDecodeError as error:
        raise _not_a_header(file) from error
    tensors = dict(_tensors(_parsed(text, file), file, _LENGTH_BYTES + length))
    data_bytes = size_bytes - _LENGTH_BYTES - length
    return tensors if sum(t.stored_bytes for t in tensors.values()) <= data_bytes else None


def _tensors(
    header: Mapping[str, JsonValue], file: Path, data_byte: int
) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors of a header; `data_byte` is where the data after it begin."""
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        fields = entry if isinstance(entry, dict) else {}
        dtype, shape, ends = (fields.get(key) for key in ("dtype", "shape", "data_offsets"))
        sides, offsets = _counts(shape), _counts(ends)
        if not isinstance(dtype, str) or sides is None or offsets is None or len(offsets) != 2:
            raise _not_a_header(file)
        size_bytes = max(0, offsets[1] - offsets[0])
        yield name, Tensor(dtype, prod(sides), size_bytes, file, data_byte + offsets[0])


def _counts(value: object) -> tuple[int, ...] | None:
    """Return whole numbers from 0 on, or None if a list of such is not what was found."""
    if not isinstance(value, list) or any(type(n) is not int or n < 0 for n in value):
        return None
    return tuple(value)


def _parsed(text: str, file: Path) -> Mapping[str, JsonValue]:
    try:
        value = parse_json(text, str(file))
    except InputError as error:
        raise _not_a_header(file) from error
    if not isinstance(value, dict):
        raise _not_a_header(file)
    return value


def _not_a_header(file: Path) -> SpecError:
    return SpecError(str(file), "needed a file of safetensors", hint="download it again")
