"""Kill parts of a served plan at random moments under many streams, and count what comes of it.

    python benchmarks/chaos.py [--kills 500] [--streams 64] [--seed 0] [--append FILE]
    python benchmarks/chaos.py --table FILE

As root, with `ip` and the package asyncssh, the plan runs on three hosts: network namespaces that
answer ssh. Otherwise, or with --one-machine, it runs on this one, and only ranks and the router are
killed. Each stream must end with exactly the tokens of an undisturbed run, or with a clear error.
Exits with 1 if a token was wrong or something was left behind. With --append, each kill is written
down at once, so that a long run can be made in pieces, with a seed each.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import pytest
from chaos_kernel import describe, files_in, shared_memory, sockets, unused
from chaos_model import make_chaos_plan, make_model
from chaos_places import KILL_ROUTER, Machine, Place, ThreeHosts, free_port, three_hosts
from chaos_records import END, LATE, PATIENCE_S, Record, append, facts, is_bad, read_records, table
from chaos_router import Router
from chaos_streams import NUM_ASKS, Clients, Tally, undisturbed

from hexplan.plan_file import write_plan

_GONE_S: Final = 15.0
_NOTICED_S: Final = 6.0
"""A harm that nobody has noticed by then did none."""
_DOUBLE: Final = 0.45
"""How often the next kill comes before what the one before did is mended."""
_LOOK_S: Final = 0.2


@dataclass(slots=True)
class Chaos:
    """A served plan under streams, and what is done to it."""

    place: Place
    router: Router
    folder: Path
    asked: argparse.Namespace
    dice: random.Random
    clients: Clients | None = None
    records: list[Record] = field(default_factory=list)
    shared: set[Path] = field(default_factory=shared_memory)

    def run(self) -> None:
        """Harm until enough was harmed or the time is over."""
        until_s = time.monotonic() + 60 * self.asked.minutes
        self.router.start()
        expected = asyncio.run(undisturbed(self.router.url, NUM_ASKS))
        self.clients = Clients(self.router.url, self.asked.streams, expected)
        self.clients.start()
        is_pending, done = False, 0
        while done < self.asked.kills and time.monotonic() < until_s:
            time.sleep(self.dice.uniform(0.0, 1.0))
            if self.dice.random() < self.asked.router_share:
                record = self._kill_router(is_pending)
                is_pending = False
            else:
                record = self._harm(is_pending)
                is_pending = record.recovered_s is None
            done += 1
            self._keep(record)
        self._end()

    def _harm(self, is_double: bool) -> Record:
        kinds = list(self.place.harms)
        kind = self.dice.choices(kinds, [self.place.harms[one][0] for one in kinds])[0]
        before = self.router.losses()
        begun_s = time.monotonic()
        what = self.place.harms[kind][1](self.dice)
        if self.dice.random() < _DOUBLE:
            time.sleep(self.dice.uniform(0.0, 3.0))
            return self._record(kind, what, None, is_double)
        took_s, what = self._await_whole(begun_s, before, what)
        if took_s is not None:
            self._await(lambda: not self.place.surplus())
        surplus = [] if took_s is None else self.place.surplus()
        record = self._record(
            kind,
            what,
            took_s,
            is_double,
            orphans=len(surplus),
            listeners=self.place.listeners(),
        )
        return replace(record, surplus=[describe(pid) for pid in surplus])

    def _await_whole(self, begun_s: float, before: int, what: str) -> tuple[float | None, str]:
        """Return how long it took from a harm until all routes were open again."""
        while time.monotonic() - begun_s < PATIENCE_S:
            waited_s = time.monotonic() - begun_s
            if self.router.is_whole():
                if self.router.losses() > before:
                    return time.monotonic() - begun_s, what
                if waited_s > _NOTICED_S:
                    return None, f"{what}, which did no harm"
            time.sleep(_LOOK_S)
        return None, f"{what}, {LATE}"

    def _kill_router(self, is_double: bool) -> Record:
        """Kill the router, count what is left, and start it again."""
        begun_s = time.monotonic()
        self.router.kill()
        self._await(lambda: not self.place.processes())
        what = f"gone after {time.monotonic() - begun_s:.1f} s"
        left = self._left()
        surplus = [describe(pid) for pid in self.place.processes()]
        self.router.start()
        took_s = time.monotonic() - begun_s
        record = self._record(KILL_ROUTER, what, took_s, is_double, **left)
        return replace(record, surplus=surplus)

    def _end(self) -> None:
        """Stop as a user does, and count what is left."""
        assert self.clients is not None
        self.clients.stop()
        self._await(self.router.is_whole)
        self.router.wait_until_idle()
        held = len(sockets(self.router.pid))
        self.router.stop()
        self._await(lambda: not self.place.processes())
        record = self._record(END, f"the router held {held} sockets", None, False, **self._left())
        self._keep(replace(record, surplus=[describe(pid) for pid in self.place.processes()]))

    def _left(self) -> dict[str, int]:
        """Return what is left of a launch that has ended, once it had time for it."""
        self._await(lambda: not self.place.processes() and not self._files())
        files = self._files()
        for file in files:
            print(f"left: {file}", file=sys.stderr)
        place = self.place
        return {
            "orphans": len(place.processes()),
            "listeners": place.left_listening() if isinstance(place, ThreeHosts) else 0,
            "leaked": len(files),
        }

    def _files(self) -> list[Path]:
        files = files_in(self.folder / "tmp", self.folder / "run")
        return files + sorted(unused(shared_memory() - self.shared))

    def _await(self, is_so: Callable[[], bool]) -> bool:
        """Wait until something is so, for as long as a launch may take to end; say if it is."""
        deadline_s = time.monotonic() + _GONE_S
        while not is_so():
            if time.monotonic() > deadline_s:
                return False
            time.sleep(_LOOK_S)
        return True

    def _record(
        self, kind: str, what: str, took_s: float | None, is_double: bool, **left: int
    ) -> Record:
        tally = self.clients.tally() if self.clients is not None else Tally()
        return Record(
            kind,
            what,
            self.place.name,
            self.asked.seed,
            datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            os.getloadavg()[0],
            None if took_s is None else round(took_s, 3),
            is_double,
            dict(tally.ended),
            tally.came_again,
            examples=tally.examples,
            **left,
        )

    def _keep(self, record: Record) -> None:
        self.records.append(record)
        if self.asked.append is not None:
            append(self.asked.append, record)
        took = "" if record.recovered_s is None else f" {record.recovered_s:.1f} s"
        ended = " ".join(f"{n} {name}" for name, n in record.streams.items())
        print(f"{record.kind}: {record.what}.{took} {ended}", file=sys.stderr, flush=True)
        for example in (*record.surplus, *record.examples):
            print(f"  {example}", file=sys.stderr, flush=True)


def main() -> None:
    """Harm, count and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--streams", type=int, default=64)
    parser.add_argument("--minutes", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--router-share", type=float, default=0.085)
    parser.add_argument("--append", type=Path)
    parser.add_argument("--table", type=Path)
    parser.add_argument("--one-machine", action="store_true")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    if asked.table is not None:
        records = read_records(asked.table)
    else:
        with tempfile.TemporaryDirectory(prefix="chaos-") as name:
            records = _run(Path(name), asked)
    print(f"{table(records)}\n\n{facts(records)}")
    sys.exit(1 if is_bad(records) else 0)


def _run(folder: Path, asked: argparse.Namespace) -> list[Record]:
    for name in ("tmp", "run", "hosts"):
        (folder / name).mkdir(mode=0o700)
    os.environ["TMPDIR"] = str(folder / "tmp")
    os.environ["XDG_RUNTIME_DIR"] = str(folder / "run")
    model = make_model(folder / "model")
    with _place(folder, asked) as place:
        plan = make_chaos_plan(model, place.addresses)
        write_plan(plan, folder / "plan.json")
        router = Router(folder / "plan.json", folder / "serve.log", place.port, place.options)
        chaos = Chaos(place, router, folder, asked, random.Random(asked.seed))  # noqa: S311
        try:
            chaos.run()
        finally:
            if router.process is not None and router.process.poll() is None:
                router.stop()
            if asked.append is not None:
                log = asked.append.with_suffix(".log")
                log.write_text(router.log.read_text() if router.log.exists() else "")
        return chaos.records


@contextmanager
def _place(folder: Path, asked: argparse.Namespace) -> Iterator[Place]:
    """Give three hosts, or this machine alone where it cannot have them."""
    machine = Machine(f"TMPDIR={folder / 'tmp'}", free_port())
    if asked.one_machine:
        yield machine
        return
    try:
        hosts = three_hosts(folder / "hosts")
        place = hosts.__enter__()
    except pytest.skip.Exception as reason:
        print(f"on one machine, ranks and router alone: {reason}", file=sys.stderr)
        yield machine
        return
    try:
        yield place
    finally:
        hosts.__exit__(None, None, None)


if __name__ == "__main__":
    main()
