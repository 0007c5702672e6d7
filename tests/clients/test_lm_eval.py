"""lm-eval, unmodified: what it measures through a server is what it measures by transformers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from clients.conftest import Installed
    from support.serving import Served

CLIENT = "lm_eval"
pytestmark = pytest.mark.slow
HERE, CORPUS = Path(__file__).parent, Path(__file__).parents[2] / "models" / "corpus"


def leaves(value: object) -> Iterator[object]:
    """Yield the numbers, texts and booleans of nested lists."""
    if isinstance(value, list):
        for one in value:
            yield from leaves(one)
    else:
        yield value


def test_lm_eval_gets_the_results_of_its_transformers_backend(
    clients_server: Served, installed: Installed, austen: Path, tmp_path: Path
) -> None:
    out = tmp_path / "results.json"
    text = CORPUS / "emma.txt"
    done = installed.run("python", HERE / "call_lm_eval.py", clients_server.url, austen, text, out)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(out.read_text())
    served, direct = found["local-completions"], found["hf"]
    for task, answers in direct["answers"].items():
        mine: list[Any] = list(leaves(served["answers"][task]))
        theirs: list[Any] = list(leaves(answers))
        assert len(mine) == len(theirs) > 0
        for one, other in zip(mine, theirs, strict=True):
            assert one == (pytest.approx(other, abs=1e-3) if isinstance(other, float) else other)
    for task, metrics in direct["metrics"].items():
        numbers = {name: one for name, one in metrics.items() if isinstance(one, float)}
        assert numbers
        for name, one in numbers.items():
            assert served["metrics"][task][name] == pytest.approx(one, rel=1e-4)
