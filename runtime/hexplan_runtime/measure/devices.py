"""The devices of this machine that can be measured."""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch

from hexplan.errors import InputError
from hexplan.model import Model
from hexplan_runtime.hardware import processor_name

DeviceKind: TypeAlias = Literal["cpu", "cuda"]


def choose_kind(wanted: DeviceKind | None) -> DeviceKind:
    """Return what to measure on: what is wanted, else an accelerator if there is one.

    Raises
    ------
    InputError
        A CUDA device is wanted, and there is none.
    """
    if wanted is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    if wanted == "cuda" and not torch.cuda.is_available():
        message = "--on: found cuda, but torch sees no CUDA device here"
        raise InputError(message, hint="measure the processor with `--on cpu`")
    return wanted


def check_degrees(kind: DeviceKind, degrees: tuple[int, ...], model: Model) -> None:
    """Refuse tensor-parallel groups that cannot be measured here.

    Raises
    ------
    InputError
        The devices of a group cannot share the model's heads, or are CUDA devices.
    """
    largest = max(degrees)
    for degree in degrees:
        if degree > model.as_held_by(degree).kv_heads:
            message = (
                f"--tp: found {degree}, needed at most {model.kv_heads}, the KV heads of the model,"
                f" or a multiple of them that divides its {model.heads} query heads"
            )
            raise InputError(message)
    if kind == "cuda" and largest > 1:
        message = f"--tp: found {largest} on cuda, where the runtime has no collectives yet"
        raise InputError(message, hint="leave out `--tp`, or measure with `--on cpu`")


def hardware_name(kind: DeviceKind) -> str:
    """Return the name that the processor or the accelerator gives itself."""
    return torch.cuda.get_device_name() if kind == "cuda" else processor_name()
