"""The objective `sustained`: the plan that serves most, as simulated."""
