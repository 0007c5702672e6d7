"""Read a folder's tokenizer, and say which file and field is wrong where transformers cannot."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from hexplan.errors import InputError
from hexplan.files.bounded import read_bounded
from hexplan_runtime.model.architecture import read_config
from hexplan_runtime.model.foreign import read_fields, reading, reason

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_KINDS = ("tokenizer.json", "*.model", "vocab.*", "tekken.json")
"""Files of which a transformers tokenizer has at least one."""
_TEXTS = (
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "tokenizer.json",
    "vocab.json",
    "chat_template.*",
    "additional_chat_templates/*",
)
"""Text files that transformers reads for a tokenizer."""
_BESIDE = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
"""Those that a tokenizer can do without, or without some of their fields."""
_MOST_BYTES = 256 << 20
_SAMPLE = "It is 1 sample."
"""A text that any tokenizer can encode."""
_WHOLE = "is the file whole? If not, download it again"


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """Return the tokenizer of a model folder, after a trial of it.

    Raises
    ------
    InputError
        The folder has none, or transformers cannot read or use it. Names the file that is wrong.
    """
    try:
        return reading(folder, lambda: _load(folder))
    except InputError as error:
        raise _unreadable(folder, error.__cause__ or error) from error


def _load(folder: Path) -> PreTrainedTokenizerBase:
    from transformers import AutoTokenizer

    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
        folder, local_files_only=True, trust_remote_code=False
    )
    tokenizer.decode(tokenizer.encode(_SAMPLE))
    return tokenizer


def _unreadable(folder: Path, error: BaseException) -> InputError:
    """Return the error for a tokenizer that transformers cannot read."""
    kinds = _found(folder, _KINDS)
    if not kinds:
        message = f"{folder}: found no tokenizer file, needed tokenizer.json or tokenizer.model"
        return InputError(message, hint="copy it there, from where the weights came")
    for file in _found(folder, _TEXTS):
        fault = _fault(file)
        if fault is not None:
            return _refusal(f"{file}", fault.removeprefix(f"{file}").lstrip(": "))
    try:
        read_config(folder)
    except InputError as in_config:
        return in_config
    where = next(_culprits(folder), f"{kinds[0]}")
    return _refusal(where, reason(error))


def _refusal(where: str, why: str) -> InputError:
    message = f"{where}: transformers cannot read this tokenizer: {why}"
    return InputError(message, hint=_WHOLE)


def _found(folder: Path, names: tuple[str, ...]) -> list[Path]:
    return [path for name in names for path in sorted(folder.glob(name))]


def _fault(file: Path) -> str | None:
    """Return what is wrong with the form of a text file; None if nothing."""
    try:
        if file.suffix == ".json":
            read_fields(file, _MOST_BYTES)
        else:
            read_bounded(file, _MOST_BYTES)
    except InputError as error:
        return error.message
    return None


def _culprits(folder: Path) -> Iterator[str]:
    """Yield the files without which, and their fields without which, the rest can be read."""
    for file in _found(folder, _BESIDE):
        if _can_load(folder, file.name, "{}"):
            fields = read_fields(file)
            for field in fields:
                rest = {name: value for name, value in fields.items() if name != field}
                if _can_load(folder, file.name, json.dumps(rest)):
                    yield f"{file}: {field}"
            yield f"{file}"


def _can_load(folder: Path, name: str, text: str) -> bool:
    """Say whether the tokenizer can be read if one of its files has this text instead."""
    with TemporaryDirectory() as made:
        copy = Path(made)
        for path in folder.iterdir():
            if path.name != name:
                (copy / path.name).symlink_to(path.absolute())
        (copy / name).write_text(text, "utf-8")
        try:
            reading(copy, lambda: _load(copy))
        except InputError:
            return False
    return True
