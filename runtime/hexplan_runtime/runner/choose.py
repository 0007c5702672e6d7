"""Which runner a stage gets."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Final, cast, get_args

import torch

from hexplan.errors import InputError
from hexplan.plan import Stage as PlannedStage
from hexplan.wording import found, join_or
from hexplan_runtime.model.architecture import RunnerName
from hexplan_runtime.model.kv_cache import KvCache
from hexplan_runtime.model.linear import Rank
from hexplan_runtime.runner.compiled_layers import CompiledLayers
from hexplan_runtime.runner.graph_layers import GraphLayers
from hexplan_runtime.runner.interleaved.interleaved_layers import InterleavedLayers
from hexplan_runtime.runner.kv_offload.host_link import host_link
from hexplan_runtime.runner.kv_offload.offloaded_layers import OffloadedLayers
from hexplan_runtime.runner.own_layers import OwnLayers
from hexplan_runtime.runner.shared_tokens import SharedTokens
from hexplan_runtime.runner.step_runner import StepRunner

RUNNER: Final = "HEXPLAN_RUNNER"
"""The variable that chooses how the runtime's own layers run: for trials."""


def choose_runner(rank: Rank, stage: PlannedStage, cache: KvCache) -> StepRunner:
    """Return what runs a stage's layers, which are cut into blocks where routes enter."""
    blocks = [arena.layers for arena in cache.arenas]
    if not rank.architecture.is_own:
        from hexplan_runtime.runner.family_layers import FamilyLayers  # only here ranks need it

        return FamilyLayers(rank, stage, blocks)
    vocab = [shard.vocab for shard in stage.shards]
    if stage.parallel != "tp":
        first = rank.team.rank // stage.token_groups * stage.token_groups
        peers = stage.shards[first : first + stage.token_groups]
        rank = replace(rank, peers=peers, shifts=stage.parallel == "shift")
    own = OwnLayers(rank, stage.layers, blocks, vocab)
    if stage.parallel == "sp":
        return SharedTokens(own, own, rank.team, 0)
    if stage.kv_offload is not None:
        windows = rank.architecture.windows
        return OffloadedLayers(own, cache, stage.kv_offload, host_link(), windows)
    runner = _own_runner(rank, own, cache)
    if stage.interleave is not None and rank.team.size > 1:
        return InterleavedLayers(own, runner, rank.team.lane_sums(), stage.interleave)
    if stage.parallel == "shift":
        assert stage.shift_tokens is not None
        return SharedTokens(own, runner, rank.team, stage.shift_tokens)
    return runner


def _own_runner(rank: Rank, own: OwnLayers, cache: KvCache) -> StepRunner:
    """Return what runs own layers step by step, or as graphs, or compiled."""
    is_gpu = torch.get_default_device().type == "cuda"
    name = rank.architecture.runner or ("graph" if is_gpu else "eager")
    if name == "graph":
        return GraphLayers(own, cache.arenas, is_captured=is_gpu)
    if name == "compiled":
        if not is_gpu:  # torch refuses to compile products with packed weights
            message = f"{RUNNER}: found compiled, needed eager or graph on a CPU"
            raise InputError(message)
        return CompiledLayers(own)
    return own


def asked_runner() -> RunnerName | None:
    """Return how own layers are asked to run; None leaves it to the device.

    Graphs are best on a GPU, and one step after another on a CPU.

    Raises
    ------
    InputError
        Something else is asked for.
    """
    asked = os.environ.get(RUNNER)
    if asked is None or asked in get_args(RunnerName):
        return cast("RunnerName | None", asked)
    message = f"{RUNNER}: found {found(asked)}, needed {join_or(get_args(RunnerName))}"
    raise InputError(message)
