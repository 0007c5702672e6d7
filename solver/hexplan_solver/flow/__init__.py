"""The largest flow of a placement, with the prices that prove it (docs/formulation.md 5 and 6)."""
