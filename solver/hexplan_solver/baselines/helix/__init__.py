"""Helix: its MILP over placement and flow, with its start and its pruning of links."""
