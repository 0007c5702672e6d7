"""First placements, links ignored: balanced, by segments, and by the coverage MILP."""
