"""A launcher that generates until it is ended: `python endless_launch.py PLAN FOLDER`."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from hexplan.plan import Plan
from hexplan_runtime.launch.pipeline import Pipeline
from hexplan_runtime.request import Request


def main() -> None:
    # What starts the tests may ignore interrupts, and a child then would too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    plan = Plan.model_validate_json(Path(sys.argv[1]).read_text())
    requests = [Request((1, 2, 3), 200) for _ in range(4)]
    print("starting", flush=True)
    with Pipeline(plan, Path(sys.argv[2])) as pipeline:
        while True:
            for _ in pipeline.generate(requests):
                print("generating", flush=True)


if __name__ == "__main__":
    main()
