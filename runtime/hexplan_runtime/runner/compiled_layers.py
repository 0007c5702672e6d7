"""The runtime's own layers, whose feed-forward networks torch compiles with their norms.

On a CPU, torch does not compile products with packed weights, and without those it is slower
(docs/decisions/0028-runners.md). On a GPU it is used only where asked for.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from hexplan_runtime.model.layers import DecoderLayer
from hexplan_runtime.model.step import BlockStep
from hexplan_runtime.runner.own_layers import OwnLayers

_CACHES: Final = ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR", "TMPDIR")
"""Headers that are compiled first go to the folder for temporary files, whatever the others say."""


class CompiledLayers:
    """Runs each step as it comes; attention, which depends on rows, is not compiled."""

    def __init__(self, own: OwnLayers) -> None:
        self._own = own
        self._feed = torch.compile(DecoderLayer.feed_, dynamic=True)

    def embed(self, ids_T: Tensor) -> Tensor:
        """Return the tokens' embeddings."""
        return self._own.embed(ids_T)

    def logits(self, x_RH: Tensor) -> Tensor | None:
        """Return the logits on the leader, and None on other ranks."""
        return self._own.logits(x_RH)

    def run(self, block: int, x_TH: Tensor, step: BlockStep) -> None:
        """Bring the residual stream through a block of layers, in place."""
        for layer in self._own.blocks[block]:
            layer.attend_(x_TH, step)
            self._feed(layer, x_TH)


def keep_compiled_in(folder: Path) -> None:
    """Let this process keep what it compiles in a folder, and not in the one for temporary files.

    What is compiled serves one launch: with its folder it goes.
    """
    kept = folder / "compiled"
    kept.mkdir(mode=0o700, exist_ok=True)
    for name in _CACHES:
        os.environ[name] = str(kept)
    tempfile.tempdir = None  # so that the variable counts
