"""A served stage that dies: what clients see while no route is left, and after that."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from threading import Thread

import httpx
import pytest
from support.processes import command_line, wait_until
from support.runtime_plans import make_plan
from support.serving import Served, served

from hexplan.model import Model
from hexplan_runtime.serve.settings import ServeSettings

RANK = "hexplan_runtime.stage.worker"
ASK = {"model": "austen-3m", "prompt": "Emma was", "max_tokens": 200, "temperature": 0}


def text_of(at: Served) -> str:
    """Return the text of a stream."""
    with at.client() as client:
        answer = client.post("/v1/completions", json=ASK | {"stream": True}, timeout=300)
    lines = [line.removeprefix("data: ") for line in answer.text.splitlines() if line]
    assert lines[-1] == "[DONE]"
    return "".join(json.loads(line)["choices"][0]["text"] for line in lines[:-1])


def rank() -> int:
    """Return the one rank that this process has started."""
    tasks = (Path("/proc") / str(os.getpid()) / "task").iterdir()
    children = [int(pid) for task in tasks for pid in (task / "children").read_text().split()]
    (found,) = [pid for pid in children if RANK in command_line(pid)]
    return found


def is_ready(at: Served) -> bool:
    return httpx.get(f"{at.url}/readyz").status_code == 200


@pytest.mark.slow
def test_while_no_route_is_left_new_requests_are_refused_and_streams_wait(
    austen: Path, austen_model: Model
) -> None:
    plan = make_plan(austen_model, [((0, 6), (1,))])
    with served(plan, austen, ServeSettings("austen-3m")) as at:
        expected = text_of(at)
        found: list[str] = []
        stream = Thread(target=lambda: found.append(text_of(at)))
        stream.start()
        assert wait_until(lambda: at.running() == 1)
        os.kill(rank(), signal.SIGKILL)
        assert wait_until(lambda: not is_ready(at))
        refused = httpx.post(f"{at.url}/v1/completions", json=ASK)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "no_route")
        assert int(refused.headers["retry-after"]) > 0
        stream.join(300)
        assert found == [expected]
        assert wait_until(lambda: is_ready(at))
        shown = httpx.get(f"{at.url}/plan").json()
        assert shown["stages"][0]["generation"] == 1
        assert not shown["routes"][0]["is_masked"]
        metrics = httpx.get(f"{at.url}/metrics").text
        assert 'hexplan_stage_losses_total{stage="s0"} 1.0' in metrics
        assert "was ended by SIGKILL" in at.heard.notes[0]


@pytest.mark.slow
def test_without_restarts_a_rank_that_dies_ends_the_server(
    austen: Path, austen_model: Model
) -> None:
    plan = make_plan(austen_model, [((0, 6), (1,))])
    with served(plan, austen, ServeSettings("austen-3m", restarts=0)) as at:
        os.kill(rank(), signal.SIGKILL)
        at.thread.join(120)
        assert [error.exit_code for error in at.errors] == [7]
