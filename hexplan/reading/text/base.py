"""The base of every part of a cluster.yaml."""

from __future__ import annotations

from pydantic import ConfigDict

from hexplan.frozen_model import FrozenModel


class Text(FrozenModel):
    """A part of the file; fields have one spelling each."""

    model_config = ConfigDict(populate_by_name=False)
