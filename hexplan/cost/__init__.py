"""The cost model: what a stage weighs, and how fast it is (docs/formulation.md 3 and 4)."""
