"""The objective `slo`: the largest rate at which requests keep a promise, in the simulation."""
