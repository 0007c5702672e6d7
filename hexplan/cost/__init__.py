"""The cost model: what a stage weighs, and how fast it is (docs/formulation.md 3 to 5)."""

from hexplan.cost.links import activation_bytes, fewest_token_bytes, link_rate, token_bytes
from hexplan.cost.memory import kv_room_tokens, memory_of
from hexplan.cost.movement import HeldWeights, fetched_layers, moved_bytes
from hexplan.cost.sequence import allowed_sharings, find_sharing
from hexplan.cost.sharing import TENSOR, Sharing
from hexplan.cost.speed import StageSpeed, stage_speed
from hexplan.cost.stage_shape import DeviceShard, StageShape
from hexplan.cost.weights import ShardSizes

__all__ = [
    "TENSOR",
    "DeviceShard",
    "HeldWeights",
    "ShardSizes",
    "Sharing",
    "StageShape",
    "StageSpeed",
    "activation_bytes",
    "allowed_sharings",
    "fetched_layers",
    "fewest_token_bytes",
    "find_sharing",
    "kv_room_tokens",
    "link_rate",
    "memory_of",
    "moved_bytes",
    "stage_speed",
    "token_bytes",
]
