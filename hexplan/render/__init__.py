"""What hexplan shows to people; all of its rich code is here."""

from hexplan.render import words
from hexplan.render.console import say, say_error
from hexplan.render.launch_view import InOrder, JsonLines, LaunchView
from hexplan.render.plan_view import plan_text
from hexplan.render.progress import solve_progress
from hexplan.render.verdict import summary, verdict_json, verdict_text

__all__ = [
    "InOrder",
    "JsonLines",
    "LaunchView",
    "plan_text",
    "say",
    "say_error",
    "solve_progress",
    "summary",
    "verdict_json",
    "verdict_text",
    "words",
]
