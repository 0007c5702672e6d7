"""Whole replicas: plans for engines that run no others (docs/formulation.md 13)."""
