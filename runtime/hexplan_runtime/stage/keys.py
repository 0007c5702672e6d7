"""The keys of a launch, from what its processes are told on their stdin."""

from __future__ import annotations

from hexplan_runtime.net.keys import LaunchKeys
from hexplan_runtime.stage.messages import Across


def keys_of(across: Across) -> LaunchKeys:
    """Return the keys of a launch."""
    return LaunchKeys.of(across.listeners, across.callers)
