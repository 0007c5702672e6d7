"""The objective `balanced`: a large sustained rate at latencies near those of a shallow plan."""
