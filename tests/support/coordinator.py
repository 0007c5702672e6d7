"""A coordinator as a process: `python coordinator.py PLAN FOLDER PYTHON SSH...`.

It launches, and then does what lines on stdin say: `N ID...` tells N tokens after a prompt,
`endless` makes them for ever, `stop` ends.
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
from hexplan_runtime.probe.reach import Reach
from hexplan_runtime.request import Request, Sampling

SEED = 0x5EED_0F_C0FFEE
"""Greedy requests do not use it, but it travels with each."""


def say(**what: object) -> None:
    """Write a line of JSON."""
    print(json.dumps(what), flush=True)


def main() -> None:
    """Launch, obey, and tell how it went."""
    plan = Plan.model_validate_json(Path(sys.argv[1]).read_text())
    hosts = Hosts(Reach(tuple(sys.argv[4:]), sys.argv[3]))
    try:
        with Pipeline(plan, Path(sys.argv[2]), hosts=hosts) as pipeline:
            say(event="up", pids=pipeline.pids)
            for line in sys.stdin:
                if line == "stop\n":
                    break
                while line == "endless\n":
                    list(pipeline.generate([Request((1, 2, 3), 60)]))
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
