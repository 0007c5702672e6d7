"""The served rate: a formula for what a placement sustains (docs/served_rate.md)."""
