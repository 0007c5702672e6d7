"""JSON Schemas of the files, for editors and CI."""

from __future__ import annotations

import json
from types import MappingProxyType

from hexplan.frozen_model import FrozenModel
from hexplan.model import Model
from hexplan.plan import Plan
from hexplan.reading.text.cluster_text import ClusterText
from hexplan.reading.text.overlay_text import OverlayText
from hexplan.reading.text.profile_text import ProfileText

DIALECT = "https://json-schema.org/draft/2020-12/schema"

DESCRIBED: MappingProxyType[str, type[FrozenModel]] = MappingProxyType(
    {
        "cluster": ClusterText,
        "plan": Plan,
        "model": Model,
        "profile": ProfileText,
        "overlay": OverlayText,
    }
)
"""The model behind each name of `hexplan schema`; a cluster.yaml may contain a `model`."""


def schema_json(name: str) -> str:
    """Return the JSON Schema of a kind of file, as people write it; for plans, as `solve` does."""
    model = DESCRIBED[name]
    schema = model.model_json_schema(mode="serialization" if model is Plan else "validation")
    return json.dumps({"$schema": DIALECT, **schema}, indent=2) + "\n"
