"""Placements made without links: balanced, by segments, and by the coverage MILP."""
