"""A stage at work: what arrives, the batch that runs, and what leaves."""
