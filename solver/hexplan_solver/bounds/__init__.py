"""What no placement exceeds (docs/formulation.md 8)."""
