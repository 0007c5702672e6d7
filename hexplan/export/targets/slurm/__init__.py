"""Slurm: batch scripts with a component for each kind of host."""

from hexplan.export.targets.slurm.agents import agents_in_slurm
from hexplan.export.targets.slurm.jobs import slurm

__all__ = ["agents_in_slurm", "slurm"]
