"""A coordinator as a process: `python coordinator.py PLAN FOLDER PYTHON SSH...`.

With a dollar sign before PLAN, stages that are lost start again. It launches, and then does what
lines on stdin say: `N ID...` tells N tokens after a prompt, `many N` tells N tokens after each of
eight prompts, `seen` what became of stages, `endless` makes tokens for ever, `stop` ends.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from hexplan.errors import HexplanError
from hexplan.plan import Plan
from hexplan_runtime.launch.pipeline import Pipeline
from hexplan_runtime.launch.places import Hosts
from hexplan_runtime.launch.stage_start import Restarts
from hexplan_runtime.probe.reach import Reach
from hexplan_runtime.request import Request, Sampling

START_S = 400.0
"""A busy machine takes long to read libraries."""
SEED = 0x5EED_0F_C0FFEE
"""Greedy requests do not use it, but it travels with each."""


def say(**what: object) -> None:
    """Write a line of JSON."""
    print(json.dumps(what), flush=True)


def many(pipeline: Pipeline, num_tokens: int) -> list[list[int]]:
    """Return so many tokens after each of eight prompts, half of them drawn with a seed."""
    requests = [
        Request((1, 2, 3 + n), num_tokens, Sampling(temperature=float(n % 2), seed=n))
        for n in range(8)
    ]
    found: list[list[int]] = [[] for _ in requests]
    for event in pipeline.generate(requests):
        found[event.request_index].append(event.token_id)
    return found


def main() -> None:
    """Launch, obey, and tell how it went."""
    heals = sys.argv[1].startswith("$")
    plan = Plan.model_validate_json(Path(sys.argv[1].removeprefix("$")).read_text())
    hosts = Hosts(Reach(tuple(sys.argv[4:]), sys.argv[3]))
    restarts = Restarts(log=lambda line: print(line, file=sys.stderr)) if heals else None
    try:
        with Pipeline(
            plan, Path(sys.argv[2]), hosts=hosts, restarts=restarts, start_timeout_s=START_S
        ) as pipeline:
            say(event="up", pids=pipeline.pids)
            for line in sys.stdin:
                if line == "stop\n":
                    break
                while line == "endless\n":
                    list(pipeline.generate([Request((1, 2, 3), 60)]))
                if line == "seen\n":
                    seen = pipeline.core.snapshot()
                    say(masked=seen.masked, generations=seen.generations, replays=seen.replays)
                    continue
                if line.startswith("many "):
                    say(tokens=many(pipeline, int(line.removeprefix("many "))))
                    continue
                num_tokens, *prompt = map(int, line.split())
                request = Request(tuple(prompt), num_tokens, Sampling(seed=SEED))
                stream = pipeline.generate([request])
                say(event="tokens", tokens=[event.token_id for event in stream])
    except HexplanError as error:
        say(event="failed", at_s=time.time(), message=error.message, hint=error.hint)
        sys.exit(error.exit_code)
    say(event="over")


if __name__ == "__main__":
    main()
