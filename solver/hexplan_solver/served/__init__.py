"""The served rate: a formula for what a placement sustains (docs/formulation.md, "Served rate")."""
