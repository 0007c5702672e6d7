"""Weights: each rank reads its own slices from the model folder, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import cached_property
from math import prod
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, cast

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from hexplan.errors import InputError
from hexplan.field_types import Range
from hexplan_runtime.model.model_files import Place, place_weights, weight_files

_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
"""Bytes of a number of each type that is read."""


class _Weight(Protocol):
    def get_shape(self) -> list[int]: ...

    def __getitem__(self, cut: tuple[slice, ...]) -> Tensor: ...

    def get_dtype(self) -> str: ...


class _OpenFile(Protocol):
    def get_slice(self, name: str) -> _Weight: ...


class WeightsReader:
    """Reads slices of weights in the type that the plan runs in, and counts bytes."""

    def __init__(self, folder: Path, dtype: torch.dtype) -> None:
        self.folder = folder
        """The model folder."""
        self.dtype = dtype
        """The type of weights in memory."""
        weight_files(folder)
        self._opened: dict[Path, _OpenFile] = {}
        self._stack = ExitStack()
        self.bytes_read = 0
        """Bytes of weights taken from files, in the files' own type."""
        self.weights_bytes = 0
        """Bytes that they fill in memory, in the type that the plan runs in."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def read(self, name: str, shape: tuple[int, ...], *cut: Range) -> Tensor:
        """Return a part of a weight.

        Parameters
        ----------
        name
            Name of the weight.
        shape
            Shape that the whole weight must have.
        cut
            The range of rows, and then of columns; all of them if left out.
        """
        place = self._place(name)
        try:
            weight = self._open(place.file).get_slice(place.name)
            self._check_shape(name, tuple(weight.get_shape()), shape)
            part = weight[tuple(slice(*interval) for interval in cut or ((0, shape[0]),))]
        except SafetensorError as error:
            message = f"{self.folder}: {name}: {error}"
            raise InputError(message, hint="the download may be incomplete") from error
        return self._keep(name, part)

    def _keep(self, name: str, part: Tensor) -> Tensor:
        if not part.is_floating_point() or part.element_size() < 2:
            message = f"{self.folder}: {name}: {part.dtype}, must be a float of 16 or 32 bits"
            raise InputError(message)
        kept = part.to(torch.get_default_device(), self.dtype)
        self.bytes_read += part.nbytes
        self.weights_bytes += kept.nbytes
        return kept

    def _check_shape(self, name: str, found: tuple[int, ...], planned: tuple[int, ...]) -> None:
        if found != planned:
            message = f"{self.folder}: {name}: shape {found}, the plan needs {planned}"
            raise InputError(message, hint="the plan was made for another model; solve again")

    def lazy(self, wanted: Callable[[str], bool]) -> dict[str, _Weight]:
        """Return the weights whose names are wanted, each read once it is sliced.

        Those that `read` returns count into `weights_bytes`; of these, the caller counts what it
        keeps.
        """
        found = {}
        for name in filter(wanted, self._places):
            place = self._places[name]
            found[name] = self._open(place.file).get_slice(place.name)
            self.bytes_read += prod(found[name].get_shape()) * _BYTES[found[name].get_dtype()]
        return found

    def has(self, name: str) -> bool:
        """Say whether the folder has a weight."""
        return name in self._places

    @cached_property
    def _places(self) -> Mapping[str, Place]:
        return place_weights(self.folder)

    def _place(self, name: str) -> Place:
        if name not in self._places:
            message = f"{self.folder}: no file has the weight {name}"
            raise InputError(message, hint="the download may be incomplete")
        return self._places[name]

    def _open(self, path: Path) -> _OpenFile:
        if path not in self._opened:
            file = safe_open(path, framework="pt", device="cpu")
            self._opened[path] = cast("_OpenFile", self._stack.enter_context(file))
        return self._opened[path]
