"""Placements in which stages that meet hold exactly the same layers (docs/formulation.md 7)."""
