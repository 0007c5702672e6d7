"""What agents hear first, and what they see of files: messages that need no plan."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from hexplan.frozen_model import FrozenModel


class HostGreeting(FrozenModel):
    """What an agent hears first; it stays as it is in all versions."""

    version: str
    """The coordinator's version of hexplan, which must be the agent's."""


class FileSeen(FrozenModel):
    """A file of weights, without its weights."""

    name: str
    """Its name in the model folder."""
    size_bytes: Annotated[int, Field(ge=0)]
    """All of it."""
    header_sha256: str
    """Hash of the safetensors header: which tensors it holds, their shapes and types, and where."""
