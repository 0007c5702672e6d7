"""The healer: when stages stay lost, it has what is left planned anew, and applies that plan."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread
from typing import Final

from hexplan.errors import HexplanError, LaunchError
from hexplan.plan import Plan
from hexplan.plan_file import read_plan, write_plan
from hexplan_runtime.applying.applier import Applier
from hexplan_runtime.applying.masked_flow import masked_flow_tokens_per_s
from hexplan_runtime.applying.view import Current
from hexplan_runtime.engine.changes import Patience
from hexplan_runtime.launch.pipeline import Pipeline

SEARCH_S: Final = 30
"""How long `replan` may search."""
_CHILD_S: Final = 120.0
"""How long it may take altogether: it reads its libraries first."""
_APPLY_S: Final = 3600.0
"""Stages may read weights for long; whoever starts them has limits of its own."""
_LOOK_S: Final = 0.5


class Healer:
    """Watches for stages that nobody starts again.

    Parameters
    ----------
    log
        Takes a line about what it does, in its thread.
    drain_s
        How long requests may take to leave routes that are removed.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        current: Current,
        applier: Applier,
        log: Callable[[str], None],
        drain_s: float,
    ) -> None:
        self._pipeline, self._current, self._applier = pipeline, current, applier
        self._log, self._drain_s = log, drain_s
        self._over = Event()
        self._tried: frozenset[int] = frozenset()
        """Stages without which no better plan was found."""

    def start(self) -> None:
        """Begin to watch; until this says otherwise, a launch without routes has hope."""
        self._pipeline.core.healing.has_hope = True
        Thread(target=self._run, daemon=True, name="healer").start()

    def stop(self) -> None:
        """Begin nothing any more."""
        self._over.set()

    def _run(self) -> None:
        while not self._over.wait(_LOOK_S):
            gone = self._gone()
            if gone and not gone <= self._tried and self._applier.progress.is_over:
                self._tried |= gone
                self._heal(gone)

    def _gone(self) -> frozenset[int]:
        """Return the stages of the plan that runs which stay lost, by their places."""
        gone = set(self._pipeline.core.snapshot().gone)
        return frozenset(gone & set(self._current.view.stages))

    def _heal(self, gone: frozenset[int]) -> None:
        view = self._current.view
        names = ", ".join(view.plan.stages[view.stages.index(place)].id for place in sorted(gone))
        self._say(f"stage {names} stays lost: looking for a plan without it")
        self._pipeline.tell(Patience(is_endless=True))
        try:
            plan = self._better_plan(view.plan, self._without(gone))
            self._applier.begin(plan, self._drain_s)
            self._applier.wait(_APPLY_S)
            if (problem := self._applier.progress.problem) is not None:
                raise problem
        except HexplanError as error:
            self._log(f"not healed: {error.message}")
            self._current.notice = f"stage {names} stays lost, and is not healed: {error.message}"
            self._pipeline.core.healing.has_hope = bool(self._open_routes())
        else:
            self._current.healed += 1
            self._say(f"healed: a plan without stage {names} runs")
        finally:
            self._pipeline.tell(Patience(is_endless=False))

    def _without(self, gone: frozenset[int]) -> list[str]:
        """Return the devices of stages, or their hosts where these are lost, as `replan` knows."""
        view, found = self._current.view, list[str]()
        for place in sorted(gone):
            stage = view.plan.stages[view.stages.index(place)]
            if self._pipeline.is_lost(stage.host):
                found.append(stage.host)
            else:
                found += [f"{stage.host}:{device}" for device in stage.devices]
        return list(dict.fromkeys(found))

    def _better_plan(self, plan: Plan, without: Sequence[str]) -> Plan:
        """Return a plan without some devices, if that passes more than the routes that are left.

        Raises
        ------
        HexplanError
            There is none.
        """
        kept = masked_flow_tokens_per_s(plan, self._current.snapshot().masked)
        with TemporaryDirectory(prefix="hexplan-heal-") as folder:
            old, new = Path(folder) / "plan.json", Path(folder) / "new.json"
            write_plan(plan, old)
            words = ("--time-limit", f"{SEARCH_S}s", "--quiet", "-o", str(new))
            _hexplan("replan", str(old), "--without", ",".join(without), *words)
            _hexplan("check", str(new))
            found = read_plan(new)
        flow = found.certificate.flow_tokens_per_s
        if flow <= kept:
            message = (
                f"the best plan without {', '.join(without)} passes {flow:.6g} tokens/s, and the"
                f" routes that are left {kept:.6g}: they go on alone"
            )
            raise LaunchError(message)
        self._say(f"a plan without {', '.join(without)} passes {flow:.6g} tokens/s, not {kept:.6g}")
        return found

    def _open_routes(self) -> int:
        seen = self._current.snapshot()
        return len(seen.routes) - len(seen.masked)

    def _say(self, line: str) -> None:
        self._log(line)
        self._current.notice = line


def _hexplan(*words: str) -> None:
    """Run a command of hexplan in a process of its own, as solvers may take any time and memory.

    Raises
    ------
    LaunchError
        It fails, or does not end in time.
    """
    argv = (sys.executable, "-P", "-m", "hexplan", *words)
    try:
        done = subprocess.run(  # noqa: S603
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_CHILD_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        message = f"`hexplan {words[0]}` took more than {_CHILD_S:g} s"
        raise LaunchError(message) from error
    if done.returncode:
        reason = (done.stderr.strip() or done.stdout.strip()).partition("\n")[0]
        message = f"`hexplan {words[0]}` ended with exit code {done.returncode}: {reason}"
        raise LaunchError(message)
