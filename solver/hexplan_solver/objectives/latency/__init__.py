"""The objective `latency`: the shortest mean time of a request at a rate."""
