"""A step of a stage whose later layers have their keys and values in host memory.

Shapes: T tokens of the batch, R rows that decode, Q query heads, G KV heads, g query heads of a KV
head, E head width, S slots, K keys that a row attends to.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import torch
import torch.nn.functional as F
from torch import Tensor

from hexplan.constants import PAGE_TOKENS
from hexplan_runtime.model.kv_reads import Seen, visible
from hexplan_runtime.model.portions import Portions
from hexplan_runtime.model.step import Attends, BlockStep, Span
from hexplan_runtime.runner.kv_offload.fetching import Aim, Decodes, Fetched
from hexplan_runtime.runner.kv_offload.host_link import HostLink
from hexplan_runtime.runner.kv_offload.offload_arena import OffloadArena
from hexplan_runtime.runner.kv_offload.pages import (
    Scores,
    choose,
    count_needed,
    pages_of,
)


@dataclass(frozen=True, slots=True)
class Fetching:
    """How a stage fetches from host memory."""

    fraction: Decimal
    """Share of a decode's earlier pages."""
    link: HostLink
    windows: Sequence[int | None]
    """How many positions a token sees in each layer of the model; None means all."""
    scores: Scores
    """What tells pages that matter from others."""


class OffloadedStep:
    """What layers need to know of a step; layers in the device's memory see it as it is.

    In others, rows that decode attend to what was fetched ahead for them, and to their own token.
    Rows of prompts attend to everything: what they have in host memory is fetched when a layer
    needs it.
    """

    def __init__(self, step: BlockStep, arena: OffloadArena, fetching: Fetching) -> None:
        self.turns_T1C = step.turns_T1C
        """How far queries and keys are turned."""
        self.portions: Portions | None = None
        """None: stages that fetch are tensor parallel."""
        self._step, self._arena, self._fetching = step, arena, fetching
        pairs = list(zip(step.spans, step.seen, strict=True))
        self._prompts = [index for index, pair in enumerate(pairs) if not _decodes(*pair)]
        decodes = [(seen, span.row.request) for span, seen in pairs if _decodes(span, seen)]
        decodes.sort(key=_bucket)
        self._groups = [
            Decodes(list(group), arena) for _, group in itertools.groupby(decodes, _bucket)
        ]
        """Rows that decode, of which those of a group see about as many pages."""
        self.decodes_R = torch.tensor([seen.token for seen, _ in decodes], dtype=torch.int64)
        """Index of each decode in the batch, those of a group side by side."""
        self._host_slots_T = step.slots_T.cpu()
        self._pages_T = torch.cat([_pages(arena, span.row.request, seen) for span, seen in pairs])
        self._layer = -1
        """The layer that has just stored its keys."""
        self._aims: dict[int, tuple[list[Aim], float]] = {}
        self._fetched: dict[int, list[Fetched]] = {}
        self._ready_s = 0.0
        """When what was sent last is there."""

    def need(self, layer: int, q_RQE: Tensor | None) -> None:
        """Choose what decodes will need in a layer, and ask the link for it.

        Parameters
        ----------
        q_RQE
            What their queries will be like; None to fetch everything.
        """
        fetching, heads = self._fetching, self._arena.shape.kv_heads
        window = fetching.windows[layer]
        aims, tokens, first = [], 0, 0
        for group in self._groups:
            seen = group.visible(window)
            pages = [pages_of(positions) for positions in seen]
            if q_RQE is None:
                scores_RGP = torch.zeros(len(seen), heads, group.pages_RP.shape[1])
            else:
                q_rQE = q_RQE[first : first + len(seen)]
                q_rGgE = q_rQE.view(len(seen), heads, -1, q_rQE.shape[-1])
                scores_RGP = fetching.scores(q_rGgE, group.bounds(layer))
            needed = choose(scores_RGP, pages, fetching.fraction)
            aims.append(group.aim(needed, window))
            first += len(seen)
            for (begin, end), (start, stop) in zip(pages, seen, strict=True):
                count = count_needed(end - begin, fetching.fraction)
                tokens += min(count * PAGE_TOKENS, stop - start)
        ready_s = fetching.link.begin(self._bytes(tokens), is_ahead=True)
        self._aims[layer] = aims, ready_s

    def fetch(self, layer: int) -> None:
        """Send what decodes need in a layer on its way."""
        aims, ready_s = self._aims.pop(layer)
        pairs = zip(self._groups, aims, strict=True)
        self._fetched[layer] = [group.fetch(layer, aim) for group, aim in pairs]
        self._ready_s = ready_s

    def store(self, layer: int, k_TGE: Tensor, v_TGE: Tensor) -> tuple[Tensor, Tensor]:
        """Store the new tokens' keys and values, and return those that are on the device.

        Both are `[G, S, E]`; of a layer in host memory `[G, T, E]`, the new ones alone.
        """
        if layer < self._arena.from_layer:
            return self._step.store(layer, k_TGE, v_TGE)
        self._layer = layer
        new = k_GTE, v_GTE = k_TGE.transpose(0, 1), v_TGE.transpose(0, 1)
        for x_GSE, x_GTE in zip(self._arena.layer(layer), new, strict=True):
            x_GSE.index_copy_(1, self._host_slots_T, x_GTE.to(x_GSE.device))
        self._arena.bound(layer, self._pages_T, k_GTE)
        self._fetching.link.store(self._bytes(len(k_TGE)))
        return k_GTE, v_GTE

    def reads(self, window: int | None) -> Attends:
        """Return what each token attends to in the layer that has stored last."""
        if self._layer < 0:
            return self._step.reads(window)
        return _Reads(self, self._layer)

    def attend(self, layer: int, q_TQE: Tensor, k_GTE: Tensor, v_GTE: Tensor) -> Tensor:
        """Return the attention's output for all tokens of a layer in host memory: `[T, Q E]`."""
        tokens, _, width = q_TQE.shape
        q_TGgE = q_TQE.view(tokens, len(k_GTE), -1, width)
        out_TGgE = q_TGgE.new_empty(q_TGgE.shape)
        for index in self._prompts:
            row, span = self._step.seen[index], self._step.spans[index]
            part = slice(span.first, span.end)
            new = k_GTE[:, part], v_GTE[:, part]
            out_TGgE[part] = self._attend_prompt(layer, row, q_TGgE[part], new)
        if not self._groups:
            return out_TGgE.view(tokens, -1)
        fetched = self._fetched.pop(layer)
        self._fetching.link.wait(self._ready_s)
        for group, part_of_keys in zip(self._groups, fetched, strict=True):
            at_R = group.tokens_R
            own = (x_GTE[:, at_R].transpose(0, 1)[:, :, None] for x_GTE in (k_GTE, v_GTE))
            out_TGgE[at_R] = part_of_keys.attend(q_TGgE[at_R], *own)
        return out_TGgE.view(tokens, -1)

    def _attend_prompt(
        self, layer: int, row: Seen, q_TGgE: Tensor, new: tuple[Tensor, Tensor]
    ) -> Tensor:
        """Return the output of a row of a prompt, which sees all that came before."""
        window = self._fetching.windows[layer]
        first = 0 if window is None else max(0, row.position + 1 - window)
        slots_K = row.place.slots[first : row.position].cpu()
        link = self._fetching.link
        if len(slots_K):
            link.wait(link.begin(self._bytes(len(slots_K)), is_ahead=False))
        k_GKE, v_GKE = (
            torch.cat([x_GSE.index_select(1, slots_K).to(x_GTE.device), x_GTE], dim=1)
            for x_GSE, x_GTE in zip(self._arena.layer(layer), new, strict=True)
        )
        q_GgTE = q_TGgE.permute(1, 2, 0, 3)
        groups = q_GgTE.shape[1]
        out_GgTE: Tensor = F.scaled_dot_product_attention(
            q_GgTE,
            k_GKE[:, None].expand(-1, groups, -1, -1),
            v_GKE[:, None].expand(-1, groups, -1, -1),
            attn_mask=visible(row, first, window),
        )
        return out_GgTE.permute(2, 0, 1, 3)

    def _bytes(self, tokens: int) -> int:
        """Return the bytes of keys and values of some tokens in one layer."""
        shape = self._arena.shape
        return 2 * tokens * shape.kv_heads * shape.head_dim * shape.dtype.itemsize


class _Reads:
    """What each token attends to in one layer in host memory."""

    def __init__(self, step: OffloadedStep, layer: int) -> None:
        self._step, self._layer = step, layer

    def attend(self, q_TQE: Tensor, keys_GSE: Tensor, values_GSE: Tensor) -> Tensor:
        """Return the attention's output for all tokens: `[T, Q E]`."""
        return self._step.attend(self._layer, q_TQE, keys_GSE, values_GSE)


def _decodes(span: Span, seen: Seen) -> bool:
    """Say whether a row decodes, with something before it."""
    return span.row.decodes and seen.position > 0


def _bucket(decode: tuple[Seen, int]) -> int:
    """Return a number for rows that see at most twice as many pages as each other."""
    return pages_of((0, decode[0].position))[1].bit_length()


def _pages(arena: OffloadArena, request: int, seen: Seen) -> Tensor:
    """Return the page of the pool for each token of a row."""
    at_T = torch.arange(seen.position, seen.position + seen.tokens)
    return arena.pages(request)[at_T // PAGE_TOKENS]
