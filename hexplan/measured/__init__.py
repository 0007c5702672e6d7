"""Measurements of real machines, and how they differ from a spec or a plan."""
