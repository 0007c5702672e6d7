"""Published placement methods, re-implemented to compare with (docs/baselines.md)."""
