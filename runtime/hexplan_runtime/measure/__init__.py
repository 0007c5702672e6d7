"""Measuring: what one layer takes on this machine, with the layers and collectives of a stage."""

from hexplan_runtime.hardware import free_cores
from hexplan_runtime.measure.campaign import SampleListener
from hexplan_runtime.measure.devices import choose_kind
from hexplan_runtime.measure.grid import Lengths
from hexplan_runtime.measure.profile_files import ProfileFiles
from hexplan_runtime.measure.sample import Point, Sample
from hexplan_runtime.measure.session import Outcome, ProfileJob, measure

__all__ = [
    "Lengths",
    "Outcome",
    "Point",
    "ProfileFiles",
    "ProfileJob",
    "Sample",
    "SampleListener",
    "choose_kind",
    "free_cores",
    "measure",
]
