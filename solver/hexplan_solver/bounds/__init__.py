"""Upper bounds: flows that no placement exceeds (docs/formulation.md 8)."""
