"""Small models that the runtime's tests share, each made once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from make_tiny_checkpoints import make_tiny

from hexplan.model import Model
from hexplan.reading.model_folder.folder import read_model_folder

AUSTEN = Path(__file__).parents[2] / "models" / "austen-3m"


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that gives the folder of a family's tiny model."""
    folders: dict[str, Path] = {}

    def folder(family: str) -> Path:
        if family not in folders:
            folders[family] = make_tiny(family, tmp_path_factory.mktemp("tiny") / family)
        return folders[family]

    return folder


@pytest.fixture(scope="session")
def llama(tiny: Callable[[str], Path]) -> Path:
    """Return a tiny model: 4 layers, 6 query and 3 KV heads, 96 channels, 256 words."""
    return tiny("llama")


@pytest.fixture(scope="session")
def llama_model(llama: Path) -> Model:
    """Return the sizes of that model."""
    return read_model_folder(llama)


@pytest.fixture(scope="session")
def austen() -> Path:
    """Return the folder of the trained model: 6 layers, 12 query and 6 KV heads, 576 channels."""
    return AUSTEN


@pytest.fixture(scope="session")
def austen_model(austen: Path) -> Model:
    """Return the sizes of that model, run in 32 bits."""
    return read_model_folder(austen, "float32")
