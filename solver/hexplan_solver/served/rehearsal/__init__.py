"""The rehearsal: a pipeline worked out step by step, on counts instead of requests."""
