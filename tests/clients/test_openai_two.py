"""The second major version of `openai`, by the same tests as the third."""

from __future__ import annotations

from pathlib import Path

import pytest
from clients.conftest import Installed

CLIENT = "openai2"
pytestmark = pytest.mark.slow
TESTS = Path(__file__).parents[1] / "runtime" / "serve"


def test_openai_two_passes_the_tests_of_openai_three(installed: Installed) -> None:
    version = installed.run("python", "-c", "import openai; print(openai.__version__)")
    assert version.stdout.startswith("2."), version.stderr
    names = ("test_openai_client.py", "test_sampling_by_openai.py")
    done = installed.run(
        "python", "-m", "pytest", "-p", "no:cacheprovider", *(TESTS / name for name in names)
    )
    assert done.returncode == 0, done.stdout
