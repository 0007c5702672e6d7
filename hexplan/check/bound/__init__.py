"""Rules about the bound: its proof, recomputed from the spec in the plan (formulation 8)."""
