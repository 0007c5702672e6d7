"""The objective `sustained`: the plan that serves most in the simulator."""
