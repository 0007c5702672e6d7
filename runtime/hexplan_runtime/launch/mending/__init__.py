"""Mending: what a mender knows of a plan that is being applied."""
