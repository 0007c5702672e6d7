"""The commands of each engine."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from hexplan.cluster import EngineName
from hexplan.export.engines.llamacpp import LLAMACPP
from hexplan.export.engines.sglang import SGLANG
from hexplan.export.engines.vllm import VLLM
from hexplan.export.engines.wording import Wording

WORDINGS: Mapping[EngineName, Wording] = MappingProxyType(
    {"vllm": VLLM, "sglang": SGLANG, "llamacpp": LLAMACPP}
)
"""By what `limits.engine` calls them; hexplan's own runtime needs no such files."""

__all__ = ["WORDINGS", "Wording"]
