"""A served plan is applied or healed: what clients, /readyz, /metrics and the owner see."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import httpx
import pytest
from support.desk_plans import hexplan, three_in_a_row
from support.processes import command_line, wait_until
from support.serving import Served, served

from hexplan_runtime.serve.settings import ServeSettings

RANK = "hexplan_runtime.stage.worker"
LONG_S = 240.0
SEEDS = range(6)


def text_of(at: Served, seed: int) -> str:
    """Return the text of a stream, greedy or drawn with a seed."""
    ask = {"model": "austen-3m", "prompt": f"Emma was {seed}", "max_tokens": 120, "stream": True}
    with at.client() as client:
        sampling = {"temperature": float(seed % 2), "seed": seed}
        answer = client.post("/v1/completions", json=ask | sampling, timeout=LONG_S)
    lines = [line.removeprefix("data: ") for line in answer.text.splitlines() if line]
    assert lines[-1] == "[DONE]", answer.text
    return "".join(json.loads(line)["choices"][0]["text"] for line in lines[:-1])


def texts_amid(at: Served, act: Callable[[], None]) -> list[str]:
    """Return the texts of streams during which something happens."""
    found = dict[int, str]()

    def ask(seed: int) -> None:
        found[seed] = text_of(at, seed)

    asking = [Thread(target=ask, args=(seed,)) for seed in SEEDS]
    for thread in asking:
        thread.start()
    assert wait_until(lambda: at.running() == len(SEEDS))
    act()
    for thread in asking:
        thread.join(LONG_S)
    return [found[seed] for seed in SEEDS]


def ranks() -> list[int]:
    """Return the ranks that this process has started, the oldest first."""
    tasks = (Path("/proc") / str(os.getpid()) / "task").iterdir()
    children = [int(pid) for task in tasks for pid in (task / "children").read_text().split()]
    return sorted(pid for pid in children if RANK in command_line(pid))


def is_given_up(at: Served) -> bool:
    return any("is given up" in note for note in at.heard.notes)


@pytest.mark.slow
def test_a_stage_that_stays_lost_is_replanned_and_streams_go_on(
    austen: Path, tmp_path: Path
) -> None:
    """No route is left at first: what two hosts have must move for them to hold the model."""
    plan = three_in_a_row(austen, tmp_path)
    settings = ServeSettings("austen-3m", restarts=1, heals=True)
    with served(plan, austen, settings) as at:
        expected = [text_of(at, seed) for seed in SEEDS]
        known = ranks()

        def keep_lost() -> None:
            """Kill a stage, and whatever is to take its place."""
            os.kill(known[0], signal.SIGKILL)

            def is_over() -> bool:
                for pid in set(ranks()) - set(known):
                    os.kill(pid, signal.SIGKILL)
                return is_given_up(at)

            assert wait_until(is_over, LONG_S)

        assert texts_amid(at, keep_lost) == expected
        assert any("healed: a plan without stage" in note for note in at.heard.notes)
        ready = httpx.get(f"{at.url}/readyz").json()
        assert ready["ready"]
        assert ready["notice"].startswith("healed: a plan without stage")
        assert "hexplan_heals_total 1.0" in httpx.get(f"{at.url}/metrics").text
        assert len(httpx.get(f"{at.url}/plan").json()["stages"]) == 2
        assert [text_of(at, seed) for seed in SEEDS] == expected


@pytest.mark.slow
def test_the_owner_applies_a_plan_while_streams_run(austen: Path, tmp_path: Path) -> None:
    plan, old, new = three_in_a_row(austen, tmp_path), tmp_path / "plan.json", tmp_path / "new.json"
    hexplan("replan", old, "--without", "h1", "-o", new, "--quiet")
    with served(plan, austen, ServeSettings("austen-3m")) as at:
        expected = [text_of(at, seed) for seed in SEEDS]
        dry = json.loads(hexplan("apply", new, "--to", old, "--dry-run", "--json"))
        assert len(dry["ends"]) > len(dry["starts"]) > 0
        assert dry["is_shut"]
        assert texts_amid(at, lambda: print(hexplan("apply", new, "--to", old))) == expected
        status = json.loads(hexplan("status", new, "--json"))
        assert {stage["host"] for stage in status["stages"]} == {"h0", "h2"}
        assert "hexplan_plans_applied_total 1.0" in httpx.get(f"{at.url}/metrics").text
        assert "nothing changes" in hexplan("apply", new, "--to", new)
        hexplan("apply", old, "--to", new)
        assert [text_of(at, seed) for seed in SEEDS] == expected
        assert len(ranks()) == len(plan.stages)
