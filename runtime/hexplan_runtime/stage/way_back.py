"""The way back: tokens go from a last stage straight to the stages where their routes begin."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from hexplan.plan import Plan
from hexplan_runtime.batch import Batch, Row, sampled, whole_blocks
from hexplan_runtime.stage.edges import Ends, returns_directly, route_ends


class WayBack:
    """Tells first stages which token comes next, or that a request is over by its own rule.

    Parameters
    ----------
    keep
        Takes what goes to this stage itself, where its routes begin and end.
    """

    def __init__(self, plan: Plan, stage: str, ends: Ends, keep: Callable[[Batch], None]) -> None:
        self._stage, self._senders, self._keep = stage, ends.back_senders, keep
        self._first = _first_stages(plan)
        self._going: set[int] = set()
        """Requests whose tokens have gone back, and whose end has not."""

    def reroute(self, plan: Plan) -> None:
        """Take other routes."""
        self._first = _first_stages(plan)

    def send(self, rows: Sequence[Row], ids: Sequence[int]) -> list[int]:
        """Send what is made of a batch's rows, and return the requests that are over.

        Parameters
        ----------
        ids
            The tokens of those rows that sample.
        """
        drawn = iter(ids)
        by_stage: dict[str, list[tuple[Row, int | None]]] = {}
        ended = []
        for row in rows:
            token = next(drawn) if row.samples else None
            if row.route in self._first and (said := self._answer(row, token)) is not None:
                if said.closes:
                    ended.append(row.request)
                entry = said, None if said.closes else token
                by_stage.setdefault(self._first[row.route], []).append(entry)
        for stage, entries in by_stage.items():
            self._send_to(stage, entries)
        return ended

    def forget(self, requests: Sequence[int]) -> None:
        """Forget requests that are over elsewhere."""
        self._going.difference_update(requests)

    def _answer(self, row: Row, token: int | None) -> Row | None:
        """Return what a first stage must know of a row."""
        if token is None:
            if not row.closes or row.request not in self._going:
                return None
            self._going.remove(row.request)
            return row
        said = sampled(row)
        if row.end_rule.reason(token, said.position + 1) is None:
            self._going.add(row.request)
            return said
        self._going.discard(row.request)
        # The last token has run through no stage, so that it is not among those that stay.
        stays = whole_blocks(said.position) if row.end_rule.keeps else 0
        return replace(said, position=stays, tokens=0, decodes=False, closes=True)

    def _send_to(self, stage: str, entries: Sequence[tuple[Row, int | None]]) -> None:
        ids = [token for _, token in entries if token is not None]
        token_ids = torch.tensor(ids, dtype=torch.int64) if ids else None
        batch = Batch(tuple(row for row, _ in entries), token_ids)
        if stage == self._stage:
            self._keep(batch)
        else:
            self._senders[stage].send(batch)


def _first_stages(plan: Plan) -> dict[int, str]:
    """Return where the routes begin whose tokens go straight back there."""
    return {
        route: route_ends(plan, route)[0]
        for route in range(len(plan.routes))
        if returns_directly(plan, route)
    }
