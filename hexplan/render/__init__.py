"""Everything that hexplan shows to people; only this package uses rich."""

from hexplan.render import words
from hexplan.render.calibrate_view import calibration_json, calibration_text
from hexplan.render.console import say, say_error
from hexplan.render.diff_view import difference_json, difference_text
from hexplan.render.explain_view import explanation_json, explanation_text
from hexplan.render.launch_view import InOrder, JsonLines, LaunchView
from hexplan.render.picture import Kind, picture, picture_kind
from hexplan.render.plan_view import plan_text
from hexplan.render.probe_view import probe_json, probe_progress, probe_text
from hexplan.render.profile_view import measure_progress, samples_text, warn_of_spread
from hexplan.render.progress import solve_progress
from hexplan.render.replan_view import replanning_json, replanning_text
from hexplan.render.serve_view import open_serve_view
from hexplan.render.simulation_plot import outcome_picture
from hexplan.render.simulation_view import outcome_json, outcome_text
from hexplan.render.verdict import summary

__all__ = [
    "InOrder",
    "JsonLines",
    "Kind",
    "LaunchView",
    "calibration_json",
    "calibration_text",
    "difference_json",
    "difference_text",
    "explanation_json",
    "explanation_text",
    "measure_progress",
    "open_serve_view",
    "outcome_json",
    "outcome_picture",
    "outcome_text",
    "picture",
    "picture_kind",
    "plan_text",
    "probe_json",
    "probe_progress",
    "probe_text",
    "replanning_json",
    "replanning_text",
    "samples_text",
    "say",
    "say_error",
    "solve_progress",
    "summary",
    "warn_of_spread",
    "words",
]
