"""Write a plan for engines and tools that others made: a plan goes in, files come out.

Nothing is written before all files are known, and a plan that a target cannot express is refused.
"""

from hexplan.export.exporting import Export, export_plan
from hexplan.export.folder import File, write_files
from hexplan.export.options import ExportOptions, Listen, Target

__all__ = ["Export", "ExportOptions", "File", "Listen", "Target", "export_plan", "write_files"]
