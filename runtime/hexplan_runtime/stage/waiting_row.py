"""Rows that wait at a stage for its next step."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hexplan_runtime.batch import Batch, Row, cut


@dataclass(frozen=True, slots=True)
class WaitingRow:
    """A row with what it brings, as `hexplan.schedule` sees it."""

    enter_layer: int
    """Layer where it enters the stage."""
    batch: Batch
    """The row alone, with its token ids or activations."""

    @property
    def row(self) -> Row:
        """The row."""
        return self.batch.rows[0]

    @property
    def tokens(self) -> int:
        """Tokens to run; none if the row only closes its request."""
        return self.row.tokens

    @property
    def is_prompt(self) -> bool:
        """Whether it is anything but a decode."""
        return not self.row.decodes

    @property
    def order_key(self) -> int:
        """The request, whose rows keep their order."""
        return self.row.request

    def cut(self, tokens: int) -> tuple[WaitingRow, WaitingRow]:
        """Return the first tokens of a prompt and the rest."""
        first, rest = cut(self.batch, tokens)
        return replace(self, batch=first), replace(self, batch=rest)
