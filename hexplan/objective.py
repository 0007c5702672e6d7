"""The objective: what a plan is made for (docs/formulation.md 9)."""

from __future__ import annotations

from typing import Literal

Objective = Literal["balanced", "throughput", "sustained", "latency", "slo", "cost"]
"""What a plan is made for; a file that names none means `balanced`."""

DEFAULT_OBJECTIVE: Objective = "balanced"
"""What an operator wants who states nothing."""
