"""Engines in which a queue says who runs."""
