"""Rules about names and places: what the plan refers to, and which device holds what."""
