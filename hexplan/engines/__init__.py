"""Engines that can serve a plan, and what of a plan each of them cannot run."""

from hexplan.engines.engine import Engine
from hexplan.engines.known import ENGINES, HEXPLAN, LLAMACPP, SGLANG, VLLM
from hexplan.engines.misfit import Misfit, MisfitKind
from hexplan.engines.misfits import misfits, splits_tensors, unread_format
from hexplan.engines.replica import Replica, replicas_of

__all__ = [
    "ENGINES",
    "HEXPLAN",
    "LLAMACPP",
    "SGLANG",
    "VLLM",
    "Engine",
    "Misfit",
    "MisfitKind",
    "Replica",
    "misfits",
    "replicas_of",
    "splits_tensors",
    "unread_format",
]
