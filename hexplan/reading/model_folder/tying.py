"""Whether the output head of a folder's model is its embedding table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hexplan.errors import InputError
from hexplan.files.bounded import open_to_read
from hexplan.reading.model_folder.headers import Tensor

_HEAD = "lm_head.weight"
_TABLE = "embed_tokens.weight"
_PIECE_BYTES = 1 << 20


def has_own_head(tensors: Mapping[str, Tensor]) -> bool:
    """Say whether a folder that states tied embeddings stores another output head all the same.

    transformers then keeps the two apart, and uses the head that is stored. Tensors of unlike
    types count as unlike.

    Raises
    ------
    InputError
        If a file with one of them cannot be read.
    """
    heads = [tensor for name, tensor in tensors.items() if _is_named(name, _HEAD)]
    tables = [tensor for name, tensor in tensors.items() if _is_named(name, _TABLE)]
    return any(not _are_equal(head, table) for head in heads for table in tables)


def _is_named(name: str, end: str) -> bool:
    return name == end or name.endswith(f".{end}")


def _are_equal(one: Tensor, other: Tensor) -> bool:
    if (one.dtype, one.stored_bytes) != (other.dtype, other.stored_bytes):
        return False
    return all(left == right for left, right in zip(_pieces(one), _pieces(other), strict=True))


def _pieces(tensor: Tensor) -> Iterator[bytes]:
    """Yield a tensor's bytes piece by piece, as a table may be larger than the memory."""
    try:
        with open_to_read(tensor.file) as file:
            file.seek(tensor.first_byte)
            for first in range(0, tensor.stored_bytes, _PIECE_BYTES):
                yield file.read(min(_PIECE_BYTES, tensor.stored_bytes - first))
    except OSError as error:
        message = f"{tensor.file}: cannot read it: {error.strerror}"
        raise InputError(message) from error
