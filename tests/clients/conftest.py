"""One server for real clients, each of which `make clients` puts into an environment of its own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.runtime_plans import make_plan
from support.serving import TEMPLATE, Served, served

from hexplan.reading.model_folder.folder import read_model_folder
from hexplan_runtime.serve.settings import Limits, ServeSettings

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 500


@dataclass(frozen=True, slots=True)
class Installed:
    """The environment of one client."""

    folder: Path

    def run(self, program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run one of its programs to its end."""
        return subprocess.run(
            [self.folder / "bin" / program, *map(str, arguments)],
            capture_output=True,
            text=True,
            env=os.environ | {"NO_COLOR": "1"},
            timeout=TIMEOUT_S,
            check=False,
        )


@pytest.fixture(scope="package")
def austen() -> Path:
    """Return the folder of the trained model."""
    return ROOT / "models" / "austen-3m"


@pytest.fixture(scope="package")
def clients_server(austen: Path) -> Iterator[Served]:
    """Give a server of the trained model in two stages, with a chat template of its own."""
    plan = make_plan(
        read_model_folder(austen, "float32"), [((0, 3), (1,)), ((3, 6), (1,))], kv_tokens=8192
    )
    limits = Limits(output_tokens=64)  # a chat that names no limit is soon over
    settings = ServeSettings("austen-3m", limits, chat_template=TEMPLATE)
    with served(plan, austen, settings) as running:
        yield running


@pytest.fixture
def installed(request: pytest.FixtureRequest) -> Installed:
    """Give the client that a test's module names as its `CLIENT`."""
    name: str = request.module.CLIENT
    folder = ROOT / ".clients" / name
    if not (folder / ".ready").exists():
        pytest.skip(f"{name} is not installed; `make clients` installs it")
    return Installed(folder)
