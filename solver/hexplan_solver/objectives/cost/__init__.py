"""The objective `cost`: the cheapest hosts that carry a rate."""
