"""One rank's part of a model: its weights, its layers, and its KV cache."""
