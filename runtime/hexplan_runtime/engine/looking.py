"""Looking: what an engine holds and has done, as a snapshot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from hexplan_runtime.engine.engine import Engine
from hexplan_runtime.engine.snapshot import EndCount, EndReason, EngineSnapshot


def snapshot_of(engine: Engine, waiting: int, ends: Mapping[EndReason, int]) -> EngineSnapshot:
    """Return a snapshot of an engine that nobody changes meanwhile."""
    replays = engine.replays
    on = Counter(flight.route for flight in engine.flights)
    return EngineSnapshot(
        running=engine.running,
        waiting=waiting,
        preemptions=engine.preemptions,
        kv=engine.kv(),
        ends=tuple(EndCount(*end) for end in sorted(ends.items())),
        edges=engine.counts.by_edge(),
        routes=engine.counts.by_route(),
        on_routes=tuple(on[route] for route in range(len(engine.counts.requests))),
        weights=replays.router.weights,
        masked=tuple(sorted(replays.masking.masked)),
        proved=tuple(sorted(replays.masking.proved)),
        weighings=replays.masking.weighings,
        down=tuple(sorted(replays.masking.down)),
        gone=tuple(sorted(replays.masking.gone)),
        generations=tuple(replays.masking.generations),
        replays=replays.count,
        swaps=engine.counts.swaps,
        swapped=engine.counts.swapped,
        host=tuple(engine.counts.host.copy().values()),
    )
