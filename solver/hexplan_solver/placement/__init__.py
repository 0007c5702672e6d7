"""How many stages of each kind hold which layers, and which devices form them (formulation 7)."""
