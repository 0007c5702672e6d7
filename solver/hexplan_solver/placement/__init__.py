"""Which stages hold which layers: counts of kinds, the coverage MILP, and named devices."""
